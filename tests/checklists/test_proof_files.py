"""Which files are kept as evidence."""

from __future__ import annotations

import gzip
import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists.proof_files import require_known_kind
from deployctl.errors import InvalidInput


def zipped() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        # Not now: parallel workers have to make the same.
        file.writestr(zipfile.ZipInfo("[Content_Types].xml"), "<Types/>")
    return archive.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
WEBP = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(16)
PROGRAM = b"MZ\x90\0" + bytes(60)


def look_at(name: str, content: bytes) -> None:
    upload = SimpleUploadedFile(name, content)
    require_known_kind(upload, name)
    assert upload.read() == content, "it is left as it was found"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.TXT", "geprüft ✓".encode()),
        ("latin.log", "geprüft\x1b[32m ok\x1b[0m\r\n".encode("latin-1")),
        ("windows.csv", "a;b\r\n".encode("utf-16")),
        ("report.html", b"<script>alert(1)</script>"),
        ("screen.png", PNG),
        ("photo.jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("screen.webp", WEBP),
        ("report.pdf", b"%PDF-1.7\n"),
        ("report.docx", zipped()),
        ("all.zip", zipped()),
        ("log.txt.gz", gzip.compress(b"text", mtime=0)),
    ],
)
def test_a_file_whose_content_fits_its_ending_is_taken(name: str, content: bytes) -> None:
    look_at(name, content)


@pytest.mark.parametrize(
    "name", ["setup.exe", "run.sh", "dump.bin", "evidence", "logo.svg", ".txt", "a.pdf.lnk"]
)
def test_a_file_of_no_known_kind_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no kind that is kept as evidence"):
        look_at(name, b"text")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.pdf", PROGRAM),
        ("report.pdf", b"text"),
        ("screen.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("screen.webp", b"RIFF\x24\0\0\0WAVEfmt " + bytes(16)),
        ("report.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("result.txt", PROGRAM),
        ("result.csv", PNG),
        ("windows.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_file_that_is_something_else_than_its_ending_says_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="does not hold what its ending"):
        look_at(name, content)
