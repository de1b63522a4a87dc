"""Write and verify a period pack: an archive of evidence packs with a signed list of its files.

The archive has one exact form: no compression, fixed times, files in the order of the list. A change of any
byte is detected, including the bytes between the files.
"""

from __future__ import annotations

import hashlib
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO

from signoff.verifier import pack, pack_format
from signoff.verifier.findings import Finding

LIST = "contents.json"
CHUNK = 1 << 20
# The earliest time in a ZIP archive (APPNOTE 4.4.6).
NO_TIME = (1980, 1, 1, 0, 0, 0)
# The errors that reading a damaged archive can raise.
READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    EOFError,
    OSError,
)


def write(stream: BinaryIO, files: Iterable[tuple[str, BinaryIO]]) -> None:
    """Write an archive in its exact form.

    Args:
        stream: the output.
        files: names with their contents, in order.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, NO_TIME)
            info.create_system, info.external_attr = 3, 0o644 << 16
            with archive.open(info, "w") as member:
                while chunk := content.read(CHUNK):
                    member.write(chunk)


def verify(path: Path, trusted: Collection[str] = ()) -> Finding:
    """Verify an archive and every pack in it.

    Args:
        path: the archive.
        trusted: see `pack.verify`.
    """
    finding = Finding("period pack")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_list(archive, trusted, finding)
            for name in archive.namelist():
                _check_file(archive, name, trusted, finding)
            if finding.ok:
                _check_form(path, archive, finding)
    except READ_ERRORS as error:
        finding.add("", f"The archive is damaged: {error}.")
    return finding


def _check_list(archive: zipfile.ZipFile, trusted: Collection[str], finding: Finding) -> None:
    names = archive.namelist()
    if LIST not in names:
        finding.add(LIST, "The signed list of files is missing.")
        return
    own = Finding("list")
    listed = pack.canonical_json(archive.read(LIST), own)
    if listed is not None and pack.has_pack_format(listed, own):
        pack.check_key(listed["seal"], trusted, own)
        pack.check_seal(listed["contents"], listed["seal"], pack_format.PERIOD_SCHEMA, own)
        finding.fingerprint, finding.key_is_trusted = own.fingerprint, own.key_is_trusted
        with own.inside("/contents/files"):
            _compare(archive, listed["contents"]["files"], finding)
        with own.inside("/contents/about"):
            finding.facts = dict(listed["contents"]["about"])
    for problem in own.problems:
        finding.add(f"{LIST}{problem.location}", problem.sentence)


def _compare(archive: zipfile.ZipFile, files: list[dict[str, str]], finding: Finding) -> None:
    listed = [file["name"] for file in files]
    if [name for name in archive.namelist() if name != LIST] != listed:
        odd = sorted(set(listed) ^ (set(archive.namelist()) - {LIST}))
        finding.add(odd[0] if odd else LIST, "The files are not the ones in the signed list.")
    for file in files:
        if file["name"] in archive.namelist() and _digest(archive, file["name"]) != file["sha256"]:
            finding.add(file["name"], "This was changed: its digest is not the signed one.")


def _check_file(archive: zipfile.ZipFile, name: str, trusted: Collection[str], finding: Finding) -> None:
    if name == LIST or not name.endswith(".json"):
        return
    for problem in pack.verify(archive.read(name), trusted).problems:
        finding.add(f"{name}{problem.location}", problem.sentence)


def _check_form(path: Path, archive: zipfile.ZipFile, finding: Finding) -> None:
    """Write the archive again, and compare the bytes."""
    with tempfile.TemporaryFile() as rewritten, path.open("rb") as original:
        write(rewritten, ((name, _open(archive, name)) for name in archive.namelist()))
        rewritten.seek(0)
        offset = 0
        while True:
            expected, actual = rewritten.read(CHUNK), original.read(CHUNK)
            if expected != actual:
                offset += pack.first_difference(expected, actual)
                finding.add(f"byte {offset}", "The archive is not written as exported.")
                return
            if not expected:
                return
            offset += len(expected)


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as member:
        while chunk := member.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _open(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    return archive.open(name)  # type: ignore[return-value]
