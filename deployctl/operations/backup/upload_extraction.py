"""Detect the format of an uploaded file, and extract a dump from a tar.

An upload is untrusted: neither its name nor the names, sizes and types of the files in it are relied on. Only
files with names that pg_dump writes are extracted.
"""

from __future__ import annotations

import enum
import gzip
import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn, Self, cast

from deployctl.operations.backup import manifest
from deployctl.operations.framework.base import OperationFailed

# The beginning of every custom archive of pg_dump, and of the toc.dat in directories (pg_backup_archiver.c).
DUMP_MAGIC = b"PGDMP"
GZIP_MAGIC = b"\x1f\x8b"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = 4096

TOC = "toc.dat"
# The files of pg_dump --format=directory (pg_backup_directory.c, versions 13 to 18).
DUMP_FILE = re.compile(
    r"toc\.dat|\d{1,10}\.dat(\.(gz|lz4|zst))?|blobs(_\d{1,10})?\.toc|blob_\d{1,10}\.dat(\.(gz|lz4|zst))?"
)
OWN_FILES = frozenset({manifest.NAME, manifest.SUM_NAME, manifest.CUSTOM_FILE})
MAX_FILES = 500_000
# These are read into memory as a whole. A manifest has 290 bytes per table (measured: 2.8 MB for 10,000).
MAX_SIZES = {manifest.NAME: 32 << 20, manifest.SUM_NAME: 4096}
# Commas, colons and brackets of a manifest. Parsed, each takes up to 100 bytes: 64 MB of tiny lists took
# 2.5 GB of memory. Within both limits, the worst known manifest takes 350 MB.
MAX_DELIMITERS = 2_000_000
DELIMITERS = (b",", b":", b"[", b"{")
DELIMITERS_PER_TABLE = 16
# Tar's extension headers for long names and exact times; a dump needs neither, and tarfile reads them whole.
MAX_EXTENSION_BYTES = 16 * 1024
CHUNK_BYTES = 1 << 20

# PostgreSQL stores neither NUL nor lone surrogates, which are valid in JSON.
NOT_STORED = re.compile(r"[\0\ud800-\udfff]")
MAX_REASON_LENGTH = 600

HOW_TO = (
    "Upload a file of “pg_dump --format=custom”, a tar of the folder of “pg_dump --format=directory”, or a "
    "backup downloaded from deployctl."
)


class UploadRefused(OperationFailed):
    """An upload can't be imported; its files were deleted."""

    def __init__(self, message: str) -> None:
        # The message can quote untrusted text, and must be valid as the summary of a run.
        shown = NOT_STORED.sub("�", message[:MAX_REASON_LENGTH])
        super().__init__(f"{shown} The upload was deleted. {HOW_TO}")


class UploadFormat(enum.Enum):
    """The format of an upload."""

    CUSTOM = "custom"
    TAR = "tar"
    TAR_GZIP = "tar.gz"


def detect_format(path: Path) -> UploadFormat:
    """Return the format of a file, from its first bytes.

    Raises:
        UploadRefused: the format is not supported.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(DUMP_MAGIC):
        return UploadFormat.CUSTOM
    if _is_tar(head):
        return UploadFormat.TAR
    if head.startswith(GZIP_MAGIC):
        content = _unzipped_head(path)
        if _is_tar(content):
            return UploadFormat.TAR_GZIP
        raise UploadRefused(f"The file is compressed with gzip; its content is {_describe_content(content)}.")
    raise UploadRefused(f"The file is {_describe_content(head)}.")


def extract(
    path: Path,
    upload_format: UploadFormat,
    into: Path,
    *,
    max_bytes: int,
    free_bytes: int,
    advance: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Extract the files of a dump from a tar.

    Args:
        path: the tar.
        upload_format: its format.
        into: an empty folder.
        max_bytes: the limit of all files together.
        free_bytes: the free space on the disk.
        advance: called with the bytes of the tar read so far.

    Raises:
        UploadRefused: the tar is truncated or too large, or contains other files than a dump's.
        OperationFailed: the disk space does not suffice.
    """
    try:
        with path.open("rb") as file:
            counted = cast("BinaryIO", _ProgressReader(file, advance))
            mode = "r|gz" if upload_format == UploadFormat.TAR_GZIP else "r|"
            with tarfile.open(fileobj=counted, mode=mode, tarinfo=_Member) as tar:  # type: ignore[call-overload]
                _Extraction(into, max_bytes, free_bytes).run(tar)
    except RecursionError as error:  # tarfile reads consecutive extension headers recursively
        raise UploadRefused("The tar has too many headers for one file.") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise UploadRefused(f"The tar is damaged or truncated: {error}.") from error
    tocs = [path for name in (TOC, manifest.CUSTOM_FILE) if (path := into / name).is_file()]
    if len(tocs) != 1:
        raise UploadRefused(f"The tar has no {TOC}, so it isn't a dump in directory format.")
    with tocs[0].open("rb") as toc:
        if toc.read(len(DUMP_MAGIC)) != DUMP_MAGIC:
            raise UploadRefused(f"{tocs[0].name} in the tar was not written by pg_dump.")


class _Member(tarfile.TarInfo):
    """A tar header that is checked before tarfile processes it, because tarfile reads extensions whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if not buf:  # tarfile would accept a missing end
            raise UploadRefused("The tar is truncated: its end is missing.")
        found = super().frombuf(buf, encoding, errors)
        if found.type == tarfile.XGLTYPE:  # tarfile would copy its content to every later header
            raise UploadRefused("The tar has a global header, which a dump doesn't need.")
        extensions = {tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME}
        if found.type in extensions and found.size > MAX_EXTENSION_BYTES:
            raise UploadRefused("The tar has a header that is too long for a dump.")
        if found.type not in extensions | {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE}:
            raise UploadRefused(f"The tar contains {found.name!r}, which isn't a regular file or folder.")
        return found

    def _refuse_sparse_file(self, *_: object) -> NoReturn:
        raise UploadRefused("The tar contains a sparse file, which a dump never has.")

    # tarfile would read the map of a sparse file into memory, whatever its size.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse_file


class _Extraction:
    """The extraction of one tar, member by member."""

    def __init__(self, into: Path, max_bytes: int, free_bytes: int) -> None:
        self._into, self._max_bytes, self._free_bytes = into, max_bytes, free_bytes
        self._folder: PurePosixPath | None = None
        self._written = 0

    def run(self, tar: tarfile.TarFile) -> None:
        for number, member in enumerate(tar, start=1):
            if number > MAX_FILES:
                raise UploadRefused(f"The tar contains more than {MAX_FILES:,} files and folders.")
            # Otherwise tarfile keeps every header in memory.
            tar.members = []  # type: ignore[attr-defined]
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or len(path.parts) > 2:
                raise UploadRefused(f"The tar contains {member.name!r}, which is outside the dump's folder.")
            if member.isdir():
                continue
            self._check_member(member, path)
            self._write(tar, member, path.name)

    def _check_member(self, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        name = path.name
        if name == "restore.sql":
            raise UploadRefused("The tar was written by pg_dump --format=tar, which isn't supported.")
        if member.issparse() or not (DUMP_FILE.fullmatch(name) or name in OWN_FILES):
            raise UploadRefused(f"The tar contains {member.name!r}, which isn't a file of a dump.")
        if self._folder is None:
            self._folder = path.parent
        if path.parent != self._folder:
            raise UploadRefused(f"The tar contains files of two folders, {self._folder} and {path.parent}.")
        if member.size > MAX_SIZES.get(name, member.size):
            raise UploadRefused(
                f"{name} in the tar is too large: {member.size:,} bytes; the limit is {MAX_SIZES[name]:,}."
            )
        if self._written + member.size > self._max_bytes:
            raise UploadRefused(
                f"The tar unpacks to more than the limit of {self._max_bytes / 1024**2:,.0f} MB. "
                "The limit is set by DEPLOYCTL_UPLOAD_UNPACKED_MB."
            )
        if self._written + member.size > self._free_bytes:
            raise OperationFailed(
                f"The tar unpacks to more than the {self._free_bytes:,} bytes free on the backup disk. "
                "The upload was deleted. Free some space, then upload it again."
            )

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        content = tar.extractfile(member)
        if content is None:
            raise UploadRefused(f"The tar contains {member.name!r}, which isn't a file.")
        try:
            file = (self._into / name).open("xb")
        except FileExistsError:
            raise UploadRefused(f"The tar contains {name} twice.") from None
        with file:
            while chunk := content.read(CHUNK_BYTES):
                file.write(chunk)
                self._written += len(chunk)
            if file.tell() != member.size:
                raise UploadRefused(f"The tar is truncated in {name}.")


def refuse_complex_manifest(path: Path) -> None:
    """Limit the number of values in a manifest before it is parsed, because each takes memory.

    Raises:
        UploadRefused: it has too many values.
    """
    content = path.read_bytes()
    if (found := sum(content.count(delimiter) for delimiter in DELIMITERS)) > MAX_DELIMITERS:
        raise UploadRefused(
            f"{path.name} has {found:,} commas, colons and brackets; the limit is {MAX_DELIMITERS:,}, enough "
            f"for {MAX_DELIMITERS // DELIMITERS_PER_TABLE:,} tables."
        )


class _ProgressReader:
    """A file that reports the number of bytes read."""

    def __init__(self, file: BinaryIO, advance: Callable[[int], None]) -> None:
        self._file, self._advance = file, advance
        self._done = 0

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._done += len(chunk)
        self._advance(self._done)
        return chunk


def _is_tar(head: bytes) -> bool:
    return head[TAR_MAGIC_AT : TAR_MAGIC_AT + len(TAR_MAGIC)] == TAR_MAGIC


def _unzipped_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def _describe_content(head: bytes) -> str:
    """Describe the content of an unsupported file."""
    if not head:
        return "empty or damaged"
    if head.startswith((b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"7z", b"\xfd7zXZ", b"BZh")):
        return "an archive in an unsupported format"
    try:
        text = head[:-4].decode()  # the last character may be cut
    except UnicodeDecodeError:
        return "not from pg_dump"
    if any(ord(character) < 32 and character not in "\n\r\t\f" for character in text):
        return "not from pg_dump"
    return (
        "text, such as an SQL script of pg_dump. Scripts are never run, because they can do anything that "
        "psql can"
    )
