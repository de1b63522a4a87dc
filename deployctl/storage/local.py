"""Backups in a folder of this machine: half-made ones never show, finished ones survive a power cut."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployctl.errors import DeployctlError

PARTIAL = ".partial"
EXPIRED = ".expired"


class StorageError(DeployctlError):
    """Storage could not do what was asked; what was stored before is untouched."""


class Partial:
    """Something being written. Not listed until `publish`."""

    def __init__(self, path: Path, final: Path) -> None:
        self.path = path
        self._final = final
        self.published = False

    def publish(self) -> Path:
        """Make it last: everything inside is fsynced, then renamed, then the parent is fsynced.

        Returns:
            The path it has from now on.
        """
        fsync_tree(self.path)
        if self._final.exists():
            raise StorageError(
                f"{self._final.name} exists already. Nothing was replaced; choose another name."
            )
        self.path.rename(self._final)
        fsync(self._final.parent)
        self.published = True
        return self._final


class LocalFolder:
    """A folder of backups.

    Args:
        root: made, readable for its owner only, when the first backup is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalFolder({str(self.root)!r})"

    def make(self) -> None:
        """Make the folder and what is missing above it. Raises OSError."""
        # Dumps hold people's data: nobody but us reads them.
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave parents open to all

    @contextmanager
    def partial(self, name: str) -> Iterator[Partial]:
        """Write a folder under `<name>.partial`; whoever leaves without publishing leaves nothing.

        Only a killed process leaves a `.partial` behind; `remove_partials` clears it.

        Args:
            name: one path component, not hidden, not ending in `.partial` or `.expired`.

        Raises:
            StorageError: the name cannot be used or is taken, or the folder cannot be written.
        """
        final = self.place(name)
        partial = Partial(final.with_name(name + PARTIAL), final)
        try:
            self.make()
            if final.exists():
                raise StorageError(f"{name} exists already. Nothing was replaced; choose another name.")
            partial.path.mkdir(mode=0o700)
        except FileExistsError:
            raise StorageError(f"{partial.path.name} is being written by somebody else.") from None
        except OSError as error:
            raise StorageError(
                f"The backup folder {self.root} cannot be written: {error.strerror}."
            ) from error
        try:
            yield partial
        finally:
            if not partial.published:
                shutil.rmtree(partial.path, ignore_errors=True)

    def place(self, name: str) -> Path:
        """Where an entry of that name is, or would be.

        Raises:
            StorageError: the name cannot be used.
        """
        if not _listed(name) or "/" in name or "\0" in name or len(os.fsencode(name)) > 200:
            raise StorageError(f"{name!r} cannot be the name of a backup.")
        return self.root / name

    def path(self, name: str) -> Path:
        """The path of a finished entry.

        Raises:
            StorageError: there is none of that name.
        """
        path = self.place(name)
        if not path.exists():
            raise StorageError(f"There is no backup {name} in {self.root}.")
        return path

    def list(self) -> tuple[Path, ...]:
        """The finished entries by name; partial, expired and hidden ones never show."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path for path in self.root.iterdir() if _listed(path.name)))

    def free_bytes(self) -> int:
        """Bytes that we may still write: of the nearest folder that exists, reserved blocks not counted."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def remove_partials(self, older_than: dt.timedelta) -> tuple[str, ...]:
        """Remove what killed processes left.

        Args:
            older_than: nothing inside was written for this long; choose more than any operation pauses.

        Returns:
            The names that were removed.
        """
        if not self.root.is_dir():
            return ()
        limit = time.time() - older_than.total_seconds()
        removed = []
        for path in sorted(self.root.glob("*" + PARTIAL)):
            if _newest_change(path) < limit:
                shutil.rmtree(path)
                removed.append(path.name)
        return tuple(removed)

    def retire(self, name: str) -> None:
        """Take a finished entry out of the list, as the first move of deleting it.

        Raises:
            StorageError: there is none of that name, or it cannot be renamed.
        """
        self._rename(self.path(name), self._retired(name))

    def retired(self) -> tuple[str, ...]:
        """The names of what was retired and not deleted yet."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path.name.removesuffix(EXPIRED) for path in self.root.glob("*" + EXPIRED)))

    def bring_back(self, name: str) -> None:
        """Put a retired entry back into the list.

        Raises:
            StorageError: it cannot be renamed.
        """
        self._rename(self._retired(name), self.place(name))

    def delete_retired(self, name: str) -> None:
        """Delete the files of a retired entry.

        Raises:
            StorageError: something could not be deleted; it stays retired, and may be deleted again.
        """
        path = self._retired(name)
        try:
            shutil.rmtree(path)
            fsync(self.root)
        except OSError as error:
            raise StorageError(
                f"{path} could not be deleted whole: {error.strerror}. It is listed no more; it will be "
                "tried again."
            ) from error

    def _rename(self, old: Path, new: Path) -> None:
        if new.exists():
            raise StorageError(f"{new} exists already, so {old.name} was left as it is. Look at both.")
        try:
            old.rename(new)
            fsync(self.root)
        except OSError as error:
            raise StorageError(f"{old} could not be renamed: {error.strerror}. It is as it was.") from error

    def _retired(self, name: str) -> Path:
        path = self.place(name)
        return path.with_name(path.name + EXPIRED)


def fsync(path: Path) -> None:
    """Have the kernel write a file or folder to its medium."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(root: Path) -> None:
    """fsync every file, then every folder from the inside out."""
    for folder, _, files in os.walk(root, topdown=False):
        for file in files:
            fsync(Path(folder, file))
        fsync(Path(folder))


def _listed(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not name.endswith((PARTIAL, EXPIRED))


def _newest_change(root: Path) -> float:
    newest = 0.0
    for path in (root, *root.rglob("*")):
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:  # being written or published right now
            return time.time()
    return newest
