"""The manifest of a backup: write it, read it, and compare the backup's files with it.

`manifest.json` describes the backup's source and lists every file with its size and SHA-256. The manifest's
own digest is in `manifest.sha256`, to check it without deployctl: `sha256sum -c manifest.sha256`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployctl.operations.framework.base import OperationFailed

NAME = "manifest.json"
SUM_NAME = "manifest.sha256"
FORMAT = "deployctl backup"
VERSION = 3
# Version 1 had no content digests, version 2 no dumps without counts and no custom format.
READABLE = frozenset({1, 2, 3})
FORMATS = frozenset({"custom", "directory"})
# The only file of a dump in custom format.
CUSTOM_FILE = "archive.dump"
CHUNK_BYTES = 1 << 20


class Damaged(OperationFailed):
    """A backup differs from its manifest; `file` is the path that differs."""

    def __init__(self, file: str, message: str) -> None:
        super().__init__(f"{message} Don't rely on this backup.")
        self.file = file


@dataclass(frozen=True)
class File:
    """One file of a backup; `path` is relative to its folder, with forward slashes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class TableCount:
    """The content of a table in the dump's snapshot; `digest` is from `queries.digests`, or None."""

    schema: str
    table: str
    rows: int
    digest: str | None = None

    @property
    def key(self) -> str:
        """Return "schema.table"."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class LargeObjects:
    """The number of large objects in the dump's snapshot, and a digest of their content."""

    count: int
    digest: str


@dataclass(frozen=True)
class Source:
    """The database that was backed up, with identifiers that don't change with its name."""

    target: str
    database: str
    database_oid: int
    system_identifier: str | None
    server_version: str
    encoding: str
    collate: str
    ctype: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of a backup.

    Args:
        format: "directory", or "custom" for a single file.
        counted: False for a dump that was made elsewhere and has no `counts`.
    """

    name: str
    format: str
    compression: str
    tool_version: str
    snapshot_at: dt.datetime
    source: Source
    counts: tuple[TableCount, ...]
    files: tuple[File, ...]
    large_objects: LargeObjects | None = None
    counted: bool = True

    def archive(self, folder: Path) -> Path:
        """Return the path for pg_restore."""
        return folder / CUSTOM_FILE if self.format == "custom" else folder

    @property
    def has_digests(self) -> bool:
        """Return True if a restored copy can be compared by content, not only by row counts."""
        return self.large_objects is not None and all(count.digest is not None for count in self.counts)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all files without the manifest."""
        return sum(file.size for file in self.files)

    def write(self, folder: Path) -> str:
        """Write both manifest files into the folder.

        Returns:
            The SHA-256 of the manifest in hexadecimal.
        """
        content = json.dumps(self.as_json(), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
        digest = hashlib.sha256(content).hexdigest()
        (folder / NAME).write_bytes(content)
        (folder / SUM_NAME).write_text(f"{digest}  {NAME}\n", encoding="ascii")
        return digest

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as written to the file."""
        return {
            "manifest": FORMAT,
            "version": VERSION,
            "name": self.name,
            "dump": {
                "format": self.format,
                "compression": self.compression,
                "tool_version": self.tool_version,
                "snapshot_at": self.snapshot_at.astimezone(dt.UTC).isoformat(),
            },
            "source": vars(self.source),
            "counts": [vars(count) for count in self.counts] if self.counted else None,
            "large_objects": vars(self.large_objects) if self.large_objects else None,
            "files": [vars(file) for file in self.files],
        }

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> Manifest:
        """Return a manifest from the result of `as_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not a manifest of a supported version.
        """
        if read["manifest"] != FORMAT or read["version"] not in READABLE:
            raise ValueError(f"not a {FORMAT} manifest of version {' or '.join(map(str, sorted(READABLE)))}")
        dump, large_objects = read["dump"], read.get("large_objects")
        return cls(
            name=read["name"],
            format=dump["format"],
            compression=dump["compression"],
            tool_version=dump["tool_version"],
            snapshot_at=dt.datetime.fromisoformat(dump["snapshot_at"]),
            source=Source(**read["source"]),
            counts=tuple(TableCount(**count) for count in read["counts"] or ()),
            files=tuple(File(**file) for file in read["files"]),
            large_objects=LargeObjects(**large_objects) if large_objects is not None else None,
            counted=read["counts"] is not None,
        )


def read(folder: Path, *, expected_sha256: str | None = None) -> Manifest:
    """Read a backup's manifest and compare it with its digest.

    Args:
        folder: the backup's folder.
        expected_sha256: the digest recorded when the backup was made; it reveals a manifest that was
            replaced together with `manifest.sha256`.

    Raises:
        Damaged: the manifest is missing, changed or invalid.
    """
    content, checksum = _read_file(folder, NAME), _read_file(folder, SUM_NAME)
    digest = hashlib.sha256(content).hexdigest()
    if checksum != f"{digest}  {NAME}\n".encode():
        raise Damaged(NAME, f"{NAME} and {SUM_NAME} of {folder.name} do not match: one was changed.")
    if expected_sha256 is not None and digest != expected_sha256:
        raise Damaged(NAME, f"{NAME} of {folder.name} is not the one written with the backup.")
    try:
        return Manifest.from_json(json.loads(content))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Damaged(NAME, f"{NAME} of {folder.name} is not a valid manifest: {error}.") from error


def check(folder: Path, manifest: Manifest, *, advance: Callable[[int], None] = lambda _bytes: None) -> None:
    """Read every byte of a backup and compare it with the manifest.

    Args:
        advance: called with the bytes read so far.

    Raises:
        Damaged: a file is missing, unexpected or changed; the message has the first one.
    """
    expected = {file.path: file for file in manifest.files}
    present = set(paths_of(folder))
    for path in sorted(present - expected.keys()):
        raise Damaged(path, f"{path} is in {folder.name}, but not in its manifest.")
    owners = {file.sha256: file.path for file in manifest.files}
    done = 0
    for path, file in expected.items():
        if path not in present:
            raise Damaged(path, f"{path} is missing from {folder.name}.")
        _check_size(folder, file, owners)
        try:
            digest = sha256_of(folder / path, advance=_with_offset(done, advance))
        except OSError as error:  # a failing disk, or a symbolic link instead of the file
            raise Damaged(path, f"{path} of {folder.name} can't be read: {error.strerror}.") from error
        if digest != file.sha256:
            other = owners.get(digest)
            what = f"has the content of {other}" if other else "was changed after the backup was written"
            raise Damaged(path, f"{path} of {folder.name} {what}.")
        done += file.size


def files_of(folder: Path, *, advance: Callable[[int], None] = lambda _bytes: None) -> tuple[File, ...]:
    """Return every file of a dump with its size and digest.

    Args:
        advance: called with the bytes read so far.
    """
    found, done = [], 0
    for path in paths_of(folder):
        digest = sha256_of(folder / path, advance=_with_offset(done, advance))
        size = (folder / path).stat().st_size
        found.append(File(path, size, digest))
        done += size
    return tuple(found)


def paths_of(folder: Path) -> list[str]:
    """Return the sorted paths of a backup's files without the manifest's; symbolic links count as files."""
    below = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted({path.relative_to(folder).as_posix() for path in below} - {NAME, SUM_NAME})


def sha256_of(path: Path, *, advance: Callable[[int], None] = lambda _bytes: None) -> str:
    """Return the SHA-256 of a file in hexadecimal; do not follow symbolic links."""
    digest, done = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            advance(done)
    return digest.hexdigest()


def drop_page_cache(folder: Path) -> None:
    """Ask the kernel to drop the files from its cache, so that the next read comes from the disk."""
    if not hasattr(os, "posix_fadvise"):  # macOS
        return
    for path in paths_of(folder):
        descriptor = os.open(folder / path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _with_offset(offset: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    return lambda count: advance(offset + count)


def _check_size(folder: Path, file: File, owners: Mapping[str, str]) -> None:
    path = folder / file.path
    size = path.lstat().st_size
    if size == file.size:
        return
    if size == 0:
        what = "is empty"
    elif not path.is_symlink() and (other := owners.get(sha256_of(path))):
        what = f"has the content of {other}"
    elif size < file.size:
        what = f"is truncated: {size} of {file.size} bytes are left"
    else:
        what = f"has grown from {file.size} to {size} bytes"
    raise Damaged(file.path, f"{file.path} of {folder.name} {what}.")


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Damaged(name, f"{name} of {folder.name} can't be read: {error.strerror}.") from error
