"""What a file that somebody sent in is, told by its content, and taking a dump out of a tar.

Nothing in such a file is believed: not its name, not the names, sizes and kinds of what it holds. Every file
of a dump is written under a name that a dump has, and no other.
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

# "PGDMP" begins every custom archive of pg_dump and the toc.dat of its directories (pg_backup_archiver.c).
DUMP_MAGIC = b"PGDMP"
GZIP_MAGIC = b"\x1f\x8b"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
HEAD_BYTES = 4096

TOC = "toc.dat"
# What pg_dump --format=directory writes (pg_backup_directory.c, versions 13 to 18), and our two.
DUMP_FILE = re.compile(
    r"toc\.dat|\d{1,10}\.dat(\.(gz|lz4|zst))?|blobs(_\d{1,10})?\.toc|blob_\d{1,10}\.dat(\.(gz|lz4|zst))?"
)
OURS = frozenset({manifest.NAME, manifest.SUM_NAME, manifest.CUSTOM_FILE})
MOST_FILES = 500_000
# Read into memory at once: 290 bytes a table and its file (measured: 2.8 MB for 10,000 tables), and one line.
LARGEST = {manifest.NAME: 32 << 20, manifest.SUM_NAME: 4096}
# Commas, colons and brackets in it. Parsed, each of them takes up to 100 bytes: 64 MB of tiny lists took
# 2.5 GB of memory; within both limits the worst that was found takes 350 MB.
MOST_MARKS = 2_000_000
MARKS = (b",", b":", b"[", b"{")
MARKS_A_TABLE = 16
# Long names and times of tar's extensions; a dump needs neither, and tarfile reads them at once.
LONGEST_EXTENSION = 16 * 1024
CHUNK_BYTES = 1 << 20

# No NUL, and no half of a pair of surrogates, which JSON can write: PostgreSQL stores neither.
NOT_STORED = re.compile(r"[\0\ud800-\udfff]")
LONGEST_REASON = 600

HOW_TO = (
    "Send in what “pg_dump --format=custom” wrote, a tar of the folder that “pg_dump --format=directory” "
    "wrote, or a backup downloaded from deployctl."
)


class UploadRefused(OperationFailed):
    """What was sent in is no dump that may be kept; nothing of it is left."""

    def __init__(self, message: str) -> None:
        # It may name what a stranger wrote, and has to be stored as the summary of a run.
        shown = NOT_STORED.sub("�", message[:LONGEST_REASON])
        super().__init__(f"{shown} Nothing was kept. {HOW_TO}")


class UploadFormat(enum.Enum):
    """What a file is."""

    CUSTOM = "custom"
    TAR = "tar"
    TAR_GZIP = "tar.gz"


def detect_format(path: Path) -> UploadFormat:
    """What a file is, by its first bytes.

    Raises:
        UploadRefused: nothing that is kept; says what it seems to be.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(DUMP_MAGIC):
        return UploadFormat.CUSTOM
    if _is_tar(head):
        return UploadFormat.TAR
    if head.startswith(GZIP_MAGIC):
        inside = _unzipped_head(path)
        if _is_tar(inside):
            return UploadFormat.TAR_GZIP
        raise UploadRefused(f"The file is compressed with gzip and holds {_seems(inside)}.")
    raise UploadRefused(f"The file is {_seems(head)}.")


def extract(
    path: Path,
    form: UploadFormat,
    into: Path,
    *,
    at_most: int,
    room: int,
    advance: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Take the files of a dump out of a tar.

    Args:
        path: the tar.
        form: how it is compressed.
        into: an empty folder.
        at_most: bytes of all files together.
        room: bytes that the disk has for them.
        advance: told the bytes of the tar read so far.

    Raises:
        UploadRefused: something in it is no file of a dump, it is broken off, or it holds too much.
        OperationFailed: the disk has no room for it.
    """
    try:
        with path.open("rb") as file:
            counted = cast("BinaryIO", _Counted(file, advance))
            mode = "r|gz" if form == UploadFormat.TAR_GZIP else "r|"
            with tarfile.open(fileobj=counted, mode=mode, tarinfo=_Member) as tar:  # type: ignore[call-overload]
                _Extraction(into, at_most, room).take(tar)
    except RecursionError as error:  # tarfile reads the header after an extension within that of it
        raise UploadRefused("The tar has more headers for one file than any dump's.") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise UploadRefused(f"The tar is damaged or was broken off: {error}.") from error
    tables = [path for name in (TOC, manifest.CUSTOM_FILE) if (path := into / name).is_file()]
    if len(tables) != 1:
        raise UploadRefused(f"The tar holds no {TOC}, so it is no dump in directory format.")
    with tables[0].open("rb") as toc:
        if toc.read(len(DUMP_MAGIC)) != DUMP_MAGIC:
            raise UploadRefused(f"{tables[0].name} in the tar was not written by pg_dump.")


class _Member(tarfile.TarInfo):
    """A header of a tar that is looked at before tarfile acts on it: it reads extensions whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if not buf:  # tarfile takes the end of the file for the end of the archive
            raise UploadRefused("The tar is broken off: its end is missing.")
        found = super().frombuf(buf, encoding, errors)
        if found.type == tarfile.XGLTYPE:  # tarfile would copy all that such ones said to every later file
            raise UploadRefused("The tar has a header for all of its files, which no dump's has.")
        extensions = {tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME}
        if found.type in extensions and found.size > LONGEST_EXTENSION:
            raise UploadRefused("The tar has a header that is longer than any dump's.")
        if found.type not in extensions | {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE}:
            raise UploadRefused(f"The tar holds {found.name!r}, which is a link, a device or the like.")
        return found

    def _refuse_holes(self, *_: object) -> NoReturn:
        raise UploadRefused("The tar holds a file with holes, which a dump has not.")

    # tarfile would read a map of the holes into memory, however long that is.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_holes


class _Extraction:
    """One tar, member by member."""

    def __init__(self, into: Path, at_most: int, room: int) -> None:
        self._into, self._at_most, self._room = into, at_most, room
        self._folder: PurePosixPath | None = None
        self._written = 0

    def take(self, tar: tarfile.TarFile) -> None:
        for number, member in enumerate(tar, start=1):
            if number > MOST_FILES:
                raise UploadRefused(f"The tar holds more than {MOST_FILES:,} files and folders.")
            # It would keep every header until the end.
            tar.members = []  # type: ignore[attr-defined]
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or len(path.parts) > 2:
                raise UploadRefused(f"The tar holds {member.name!r}, which lies outside of a dump's folder.")
            if member.isdir():
                continue
            self._refuse_unless_of_dump(member, path)
            self._write(tar, member, path.name)

    def _refuse_unless_of_dump(self, member: tarfile.TarInfo, path: PurePosixPath) -> None:
        name = path.name
        if name == "restore.sql":
            raise UploadRefused(
                "The tar was written by pg_dump --format=tar, which is restored slowly and not kept."
            )
        if member.issparse() or not (DUMP_FILE.fullmatch(name) or name in OURS):
            raise UploadRefused(f"The tar holds {member.name!r}, which is no file of a dump.")
        if self._folder is None:
            self._folder = path.parent
        if path.parent != self._folder:
            raise UploadRefused(f"The tar holds files of two folders, {self._folder} and {path.parent}.")
        if member.size > LARGEST.get(name, member.size):
            raise UploadRefused(
                f"{name} in the tar is larger than that of any backup: {member.size:,} bytes; at most "
                f"{LARGEST[name]:,} are taken."
            )
        if self._written + member.size > self._at_most:
            raise UploadRefused(
                f"The tar holds more than the {self._at_most / 1024**2:,.0f} MB that it may unpack to. "
                "Whoever runs deployctl can raise DEPLOYCTL_UPLOAD_UNPACKED_MB."
            )
        if self._written + member.size > self._room:
            raise OperationFailed(
                f"The disk of the backups has room for {self._room:,} bytes, and the tar holds more. "
                "Nothing was kept. Free some space, then send it again."
            )

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        content = tar.extractfile(member)
        if content is None:
            raise UploadRefused(f"The tar holds {member.name!r}, which is no file.")
        try:
            file = (self._into / name).open("xb")
        except FileExistsError:
            raise UploadRefused(f"The tar holds {name} twice.") from None
        with file:
            while chunk := content.read(CHUNK_BYTES):
                file.write(chunk)
                self._written += len(chunk)
            if file.tell() != member.size:
                raise UploadRefused(f"The tar is broken off in {name}.")


def refuse_complex_manifest(path: Path) -> None:
    """Look how many values a manifest has before it is parsed, which takes memory for each of them.

    Raises:
        UploadRefused: naming the limit.
    """
    content = path.read_bytes()
    if (marks := sum(content.count(mark) for mark in MARKS)) > MOST_MARKS:
        raise UploadRefused(
            f"{path.name} has {marks:,} commas, colons and brackets; at most {MOST_MARKS:,} are taken, which "
            f"do for a backup of {MOST_MARKS // MARKS_A_TABLE:,} tables."
        )


class _Counted:
    """A file that tells how far it was read."""

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


def _seems(head: bytes) -> str:
    """What the beginning of a file looks like, in words."""
    if not head:
        return "empty or damaged"
    if head.startswith((b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"7z", b"\xfd7zXZ", b"BZh")):
        return "an archive of a kind that is not read here"
    try:
        text = head[:-4].decode()  # the cut may be in the middle of a character
    except UnicodeDecodeError:
        return "nothing that pg_dump writes"
    if any(ord(character) < 32 and character not in "\n\r\t\f" for character in text):
        return "nothing that pg_dump writes"
    return (
        "text, such as the SQL that pg_dump writes without --format. A script is never run: "
        "it can do anything that psql can"
    )
