"""Store backups in a local folder. Only complete ones are listed, and they survive a power failure."""

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
    """A storage operation failed. Files stored earlier are unchanged."""


class Partial:
    """A backup that is being written. It is not listed until `publish` is called."""

    def __init__(self, path: Path, final: Path) -> None:
        self.path = path
        self._final = final
        self.published = False

    def publish(self) -> Path:
        """Fsync the content, rename the folder to its final name and fsync the parent.

        Returns:
            The final path.

        Raises:
            StorageError: the final name is taken.
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
        root: created when the first backup is written, readable only by its owner.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalFolder({str(self.root)!r})"

    def create(self) -> None:
        """Create the folder and its missing parents. Raises OSError."""
        # Dumps contain personal data, so no other account may read them.
        missing = [folder for folder in (self.root, *self.root.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)  # `parents=True` ignores the mode for parents

    @contextmanager
    def partial(self, name: str) -> Iterator[Partial]:
        """Create a folder `<name>.partial` and delete it at the end of the block unless it was published.

        Only a killed process leaves a `.partial` folder; `remove_partials` deletes it.

        Args:
            name: one path component, not hidden, not ending in `.partial` or `.expired`.

        Raises:
            StorageError: the name is invalid or taken, or the folder cannot be written.
        """
        final = self.path_for(name)
        partial = Partial(final.with_name(name + PARTIAL), final)
        try:
            self.create()
            if final.exists():
                raise StorageError(f"{name} exists already. Nothing was replaced; choose another name.")
            partial.path.mkdir(mode=0o700)
        except FileExistsError:
            raise StorageError(f"Another process is writing {partial.path.name}.") from None
        except OSError as error:
            raise StorageError(
                f"The backup folder {self.root} cannot be written: {error.strerror}."
            ) from error
        try:
            yield partial
        finally:
            if not partial.published:
                shutil.rmtree(partial.path, ignore_errors=True)

    def path_for(self, name: str) -> Path:
        """Return the path for a name, whether or not a backup of that name exists.

        Raises:
            StorageError: the name is invalid.
        """
        if not _is_listed(name) or "/" in name or "\0" in name or len(os.fsencode(name)) > 200:
            raise StorageError(f"{name!r} isn't a valid name for a backup.")
        return self.root / name

    def path(self, name: str) -> Path:
        """Return the path of a finished backup.

        Raises:
            StorageError: no backup has that name.
        """
        path = self.path_for(name)
        if not path.exists():
            raise StorageError(f"There is no backup {name} in {self.root}.")
        return path

    def list(self) -> tuple[Path, ...]:
        """Return the finished backups in order of name, without partial, retired and hidden ones."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path for path in self.root.iterdir() if _is_listed(path.name)))

    def free_bytes(self) -> int:
        """Return the bytes available to this process on the disk of the folder."""
        folder = self.root
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def remove_partials(self, older_than: dt.timedelta) -> tuple[str, ...]:
        """Delete `.partial` folders that killed processes left behind.

        Args:
            older_than: minimum time since the last write inside the folder. It must exceed the longest pause
                of any operation.

        Returns:
            The names of the deleted folders.
        """
        if not self.root.is_dir():
            return ()
        cutoff = time.time() - older_than.total_seconds()
        removed = []
        for path in sorted(self.root.glob("*" + PARTIAL)):
            if _last_modified(path) < cutoff:
                shutil.rmtree(path)
                removed.append(path.name)
        return tuple(removed)

    def retire(self, name: str) -> None:
        """Remove a finished backup from the list, as the first step of deleting it.

        Raises:
            StorageError: no backup has that name, or it cannot be renamed.
        """
        self._rename(self.path(name), self._retired_path(name))

    def retired(self) -> tuple[str, ...]:
        """Return the names of retired backups whose files are not deleted yet."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path.name.removesuffix(EXPIRED) for path in self.root.glob("*" + EXPIRED)))

    def unretire(self, name: str) -> None:
        """Put a retired backup back on the list.

        Raises:
            StorageError: the backup cannot be renamed.
        """
        self._rename(self._retired_path(name), self.path_for(name))

    def delete_retired(self, name: str) -> None:
        """Delete the files of a retired backup.

        Raises:
            StorageError: a file could not be deleted. The backup stays retired; call this again.
        """
        path = self._retired_path(name)
        try:
            shutil.rmtree(path)
            fsync(self.root)
        except OSError as error:
            raise StorageError(
                f"{path} could not be deleted completely: {error.strerror}. It is no longer listed; the next "
                "cleanup retries."
            ) from error

    def _rename(self, old: Path, new: Path) -> None:
        if new.exists():
            raise StorageError(f"{new} exists already, so {old.name} was not renamed. Compare the two.")
        try:
            old.rename(new)
            fsync(self.root)
        except OSError as error:
            raise StorageError(f"{old} could not be renamed: {error.strerror}. It is unchanged.") from error

    def _retired_path(self, name: str) -> Path:
        path = self.path_for(name)
        return path.with_name(path.name + EXPIRED)


def fsync(path: Path) -> None:
    """Flush a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(root: Path) -> None:
    """Flush every file to disk, then every folder, the innermost first."""
    for folder, _, files in os.walk(root, topdown=False):
        for file in files:
            fsync(Path(folder, file))
        fsync(Path(folder))


def _is_listed(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not name.endswith((PARTIAL, EXPIRED))


def _last_modified(root: Path) -> float:
    newest = 0.0
    for path in (root, *root.rglob("*")):
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:  # another process is writing or publishing it
            return time.time()
    return newest
