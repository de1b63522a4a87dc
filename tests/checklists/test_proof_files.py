"""File types that are accepted as evidence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import Literal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checklists.proof_files import ACCEPTED, require_accepted_type
from deployctl.errors import InvalidInput


def zipped(name: str = "[Content_Types].xml", content: bytes = b"<Types/>") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        # A fixed time: parallel test workers must generate the same parameters.
        file.writestr(zipfile.ZipInfo(name), content)
    return archive.getvalue()


def tar(mode: Literal["w", "w:gz"] = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode=mode, format=form) as file:
        file.addfile(tarfile.TarInfo("a.log"), io.BytesIO())
    return archive.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
ZST = b"\x28\xb5\x2f\xfd\x04\x00\x21\x00\x00text"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
WEBP = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(16)
PROGRAM = b"MZ\x90\0" + bytes(60)


def check_file(name: str, content: bytes) -> None:
    upload = SimpleUploadedFile(name, content)
    require_accepted_type(upload, name)
    assert upload.read() == content, "the file is rewound"


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
        ("mailed.pdf", b"From scanner\r\n".ljust(1019) + b"%PDF-1.7\n"),
        ("log.txt.gz", gzip.compress(b"text", mtime=0)),
        ("IMG_0042.HEIC", HEIC),
        ("photo.heif", HEIC),
        ("server.log.zst", ZST),
        ("server.log.xz", lzma.compress(b"text")),
        ("server.log.bz2", bz2.compress(b"text")),
        ("logs.tar", tar()),
        ("gnu.tar", tar(form=tarfile.GNU_FORMAT)),
        ("result.sig", b"\x89\x01\x33\x04\x00\x01\x08\x00"),
        ("result.sig", b"\xc2\x75\x04\x00\x16\x0a\x00"),
        ("result.sig", b"untrusted comment: signature\nRWQf6LRCGA9i5\n"),
        ("result.txt.asc", b"-----BEGIN PGP SIGNATURE-----\n"),
        ("agreed.eml", b"From: a@example.org\r\n\r\nYes.\r\n"),
        ("psql.out", b"42 rows"),
        ("psql.err", b"ERROR:  relation does not exist"),
        ("pgbouncer.cfg", b"[databases]"),
        ("flyway.properties", b"flyway.schemas=shop"),
    ],
)
def test_a_file_whose_content_matches_its_extension_is_accepted(name: str, content: bytes) -> None:
    check_file(name, content)


def test_a_gzipped_tar_is_accepted_as_tgz() -> None:
    check_file("logs.tgz", tar("w:gz"))


@pytest.mark.parametrize(
    "name", ["a.docx", "a.xlsx", "a.pptx", "a.doc", "a.xls", "a.ppt", "a.msg", "SIGNED OFF.DOC"]
)
def test_encrypted_and_old_office_documents_are_accepted(name: str) -> None:
    check_file(name, OLE)


@pytest.mark.parametrize(
    "name",
    ["server.log.1", "SERVER.LOG.12", "server.log-20260101", "server.log.2026-01-01", "server.log.2.gz"],
)
def test_a_rotated_log_is_accepted(name: str) -> None:
    check_file(name, gzip.compress(b"text", mtime=0) if name.endswith(".gz") else b"LOG:  ready\n")


@pytest.mark.parametrize("extension", [".log", ".1", ".heic", ".doc"])
def test_the_accept_attribute_lists_the_accepted_extensions(extension: str) -> None:
    assert extension in ACCEPTED.split(",")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(
            b"\x1b]0;psql\x07shop=# select 1;\r\n", id="terminal title in a recording of script or tmux"
        ),
        pytest.param(b"\x1b[1mok\x1b(B\x1b[m\x0f \x0emqqj\x0f\n", id="colors and line drawing"),
        pytest.param(b"selct\b\b\bect 1;\r\n", id="backspaces"),
        pytest.param(b"a;b\r\n1;2\r\n\x1a", id="DOS end-of-file character"),
        pytest.param(bytes(4096) + b"LOG:  ready\n", id="logrotate with copytruncate"),
        pytest.param("geprüft ✓\r\n".encode("utf-16-le"), id="UTF-16-LE without BOM"),
        pytest.param("geprüft ✓\r\n".encode("utf-16-be"), id="UTF-16-BE without BOM"),
    ],
)
def test_terminal_recordings_and_unusual_encodings_are_accepted(content: bytes) -> None:
    check_file("session.log", content)


@pytest.mark.parametrize(
    "name",
    ["setup.exe", "run.sh", "dump.bin", "evidence", "logo.svg", ".txt", "a.pdf.lnk", "setup.exe.1", "v1.2"],
)
def test_a_file_of_unknown_type_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="isn't accepted as evidence"):
        check_file(name, b"text")


def test_a_text_of_unknown_type_is_accepted_as_txt() -> None:
    with pytest.raises(InvalidInput, match=r"rename it to \.txt if it is text"):
        check_file("run.sh", b"#!/bin/sh")
    check_file("run.sh.txt", b"#!/bin/sh")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.pdf", PROGRAM),
        ("report.pdf", b"text"),
        ("screen.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("screen.webp", b"RIFF\x24\0\0\0WAVEfmt " + bytes(16)),
        ("late.pdf", bytes(1020) + b"%PDF-1.7\n"),
        ("report.docx", PROGRAM),
        ("report.odt", OLE),
        ("report.doc", zipped()),
        ("photo.heic", PNG),
        ("logs.tar", PROGRAM.ljust(512, b"\0")),
        ("server.log.zst", lzma.compress(b"text")),
        ("result.sig", PROGRAM),
        ("result.asc", b"\x89\x01\x33\x04\x00\x01\x08\x00"),
        ("server.log.1", PROGRAM),
        ("result.txt", PROGRAM),
        ("result.txt", OLE),
        ("result.txt", HEIC),
        ("result.txt", gzip.compress(b"text", mtime=0)),
        ("result.txt", bytes(64)),
        ("result.txt", bytes(64) + PROGRAM),
        ("result.txt", "a\0b".encode("utf-16-le")),
        ("result.txt", "text".encode("utf-16-le") + b"\0"),
        ("result.txt", b"\x01\x02\x03\x04"),
        ("result.csv", PNG),
        ("windows.csv", b"\xff\xfe\x00"),
    ],
)
def test_a_file_whose_content_contradicts_its_extension_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="doesn't match its extension"):
        check_file(name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [("run.sh", b"#!/bin/sh"), ("result.txt", PROGRAM), ("all.zip", b"7z\xbc\xaf\x27\x1c")],
)
def test_a_refused_file_is_accepted_in_a_zip_archive(name: str, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="attach it in a ZIP archive"):
        check_file(name, content)
    check_file(f"{name}.zip", zipped(name, content))
