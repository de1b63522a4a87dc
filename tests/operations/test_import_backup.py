"""Importing uploads: supported formats, rejected files, and the trust level of a dump from elsewhere."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import io
import os
import random
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployctl.operations.backup import archive, dump_toc, manifest
from deployctl.operations.backup.upload_extraction import UploadRefused
from deployctl.operations.framework.base import BackupArtefact, OperationFailed, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.import_backup import ImportBackup
from deployctl.operations.kinds.restore import Restore
from deployctl.operations.kinds.test_restore import RestoreTest
from deployctl.postgres import process, rlimit_exec
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.tools import find_tool
from deployctl.storage import LocalFolder, StorageError, Uploads
from tests.operations.restores import back_up, databases_of, job_for, on_record, perform

NOWHERE = ConnectionSpec(host="127.0.0.1", port=1, user="u", password="", dbname="d")


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute(
            """
            CREATE TABLE "Plan" (id int PRIMARY KEY, name text);
            INSERT INTO "Plan" SELECT n, md5(n::text) FROM generate_series(1, 500) AS n;
            CREATE TABLE empty (id int);
            SELECT lo_from_bytea(0, 'large');
            """
        )
    return spec


def pg_dump(spec: ConnectionSpec, path: Path, form: str) -> Path:
    """Make a dump without deployctl."""
    tool = find_tool("pg_dump", server_major=15)
    with process.child_environment(spec, application_name="test") as env:
        subprocess.run([tool.path, f"--format={form}", f"--file={path}"], env=env, check=True)
    return path


def tar_of(folder: Path, path: Path, *, mode: str = "w", prefix: str = "dump/") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for file in sorted(folder.iterdir()):
            tar.add(file, f"{prefix}{file.name}")
    return path


def tar_with(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return written.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def job_with(content: Path | bytes, tmp_path: Path, **limits: int) -> FakeJob:
    """Return a job that imports an upload with this content."""
    (tmp_path / "backups").mkdir(exist_ok=True)
    limits = {"max_bytes": 1 << 30, "max_unpacked_bytes": 1 << 30} | limits
    uploads = Uploads(LocalFolder(tmp_path / "backups"), **limits)
    with uploads.receive() as incoming:
        incoming.write(content.read_bytes() if isinstance(content, Path) else content)
        number = incoming.finish()
        incoming.keep()
    params = ImportBackup.Params(upload=number, file_name="shop.dump")
    return FakeJob(NOWHERE, params=params, tmp_path=tmp_path, uploads=uploads)


def import_backup(content: Path | bytes, tmp_path: Path, **limits: int) -> tuple[Outcome, BackupArtefact]:
    outcome = ImportBackup().perform(job_with(content, tmp_path, **limits))
    assert outcome.artefact is not None
    return outcome, outcome.artefact


def is_upload_deleted(tmp_path: Path) -> bool:
    return [path.name for path in (tmp_path / "backups").rglob("*")] == [".uploads"]


@pytest.mark.parametrize("form", ["custom", "tar", "tar.gz"])
def test_a_dump_made_elsewhere_is_imported_and_can_be_restored(
    shop: ConnectionSpec, tmp_path: Path, form: str
) -> None:
    if form == "custom":
        upload = pg_dump(shop, tmp_path / "x", "custom")
    else:
        folder = pg_dump(shop, tmp_path / "x", "directory")
        upload = tar_of(folder, tmp_path / "x.tar", mode="w:gz" if form == "tar.gz" else "w")

    outcome, imported = import_backup(upload, tmp_path)

    assert outcome.facts["format"] == ("custom" if form == "custom" else "directory")
    assert (outcome.facts["counted"], outcome.facts["digests"]) == (False, False)
    assert imported.server_version.startswith("1")
    assert imported.counts == {}
    assert imported.path.name.startswith("shop-uploaded-")
    assert [path.name for path in (tmp_path / "backups").rglob("*") if path.is_file()] != []
    assert list((tmp_path / "backups" / ".uploads").iterdir()) == []

    job, restored = perform(RestoreTest, shop, tmp_path, imported, backup=imported.name)
    assert restored.trust == {imported.name: ("hashed", "restored")}
    assert restored.facts["rows"] == 500
    assert "not compared" in restored.summary
    assert {one.total for one in job.progress if one.phase == "restore"} == {None}

    with pytest.raises(OperationFailed, match="or accept one without digests"):
        perform(Restore, shop, tmp_path, imported, backup=imported.name)
    _, replaced = perform(Restore, shop, tmp_path, imported, backup=imported.name, accept_row_counts=True)
    assert replaced.facts["rows"] == 500


def test_a_downloaded_backup_keeps_its_manifest_when_imported(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    download = archive.open_backup(made.name, made.path, expected_sha256=made.manifest_sha256)
    upload = b"".join(download.chunks())
    assert len(upload) == download.size

    outcome, imported = import_backup(upload, tmp_path)

    assert imported.name != made.name
    assert imported.manifest_sha256 == made.manifest_sha256
    assert imported.counts == made.counts
    assert outcome.facts["digests"] is True
    _, restored = perform(RestoreTest, shop, tmp_path, imported, backup=imported.name)
    assert restored.trust == {imported.name: ("hashed", "restored", "proven")}


def test_an_uploaded_backup_can_be_downloaded_and_uploaded_again(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
    _, once = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)
    download = archive.open_backup(once.name, once.path, expected_sha256=once.manifest_sha256)

    # The names differ, because each job has another run ID.
    _, again = import_backup(b"".join(download.chunks()), tmp_path)

    assert again.manifest_sha256 == once.manifest_sha256
    assert again.format == "custom"


def test_an_uploaded_backup_is_used_only_by_name(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    _, imported = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)
    uploaded = dataclasses.replace(on_record(imported, "restored"), uploaded_at=imported.snapshot_at)

    _, outcome = perform(RestoreTest, shop, tmp_path, on_record(made), uploaded)
    assert outcome.facts["backup"] == made.name

    job = job_for(Restore, shop, tmp_path, [uploaded])
    with pytest.raises(OperationFailed, match=r"has only uploaded backups.*Name the one to use"):
        Restore().perform(job)


GZIPPED_SQL = gzip.compress(b"-- PostgreSQL database dump\nCREATE TABLE t ();\n")
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty or damaged"),
    "a script": (b"--\n-- PostgreSQL database dump\n--\nDROP TABLE t;\n", "Scripts are never run"),
    "a compressed script": (GZIPPED_SQL, "content is text, such as an SQL script"),
    "a page": (b"<!doctype html><p>" * 500, "text"),
    "bytes": (random.Random(5).randbytes(5000), "not from pg_dump"),
    "another archive": (b"PK\x03\x04" + bytes(500), "an archive in an unsupported format"),
    "a dump cut short": (b"PGDMP\x01\x0e", "can't read the dump"),
    "a path out": (tar_with((member("../toc.dat"), b"PGDMP")), "outside the dump's folder"),
    "an absolute path": (tar_with((member("/etc/toc.dat"), b"PGDMP")), "outside the dump's folder"),
    "a deep path": (tar_with((member("a/b/toc.dat"), b"PGDMP")), "outside the dump's folder"),
    "a link": (
        tar_with((member("d/toc.dat", tarfile.SYMTYPE, "/etc/passwd"), b"")),
        "isn't a regular file or folder",
    ),
    "a hard link": (
        tar_with((member("d/toc.dat", tarfile.LNKTYPE, "/etc/passwd"), b"")),
        "isn't a regular file or folder",
    ),
    "a device": (tar_with((member("d/toc.dat", tarfile.CHRTYPE), b"")), "isn't a regular file or folder"),
    "a pipe": (tar_with((member("d/toc.dat", tarfile.FIFOTYPE), b"")), "isn't a regular file or folder"),
    "twice": (tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/toc.dat"), b"x")), "toc.dat twice"),
    "two folders": (tar_with((member("d/toc.dat"), b"PGDMP"), (member("e/1.dat"), b"x")), "of two folders"),
    "an unusual name": (tar_with((member("d/$(touch x)"), b"")), "isn't a file of a dump"),
    "an option as name": (tar_with((member("d/--file=x"), b"")), "isn't a file of a dump"),
    "a line break": (tar_with((member("d/toc.dat\n"), b"")), "isn't a file of a dump"),
    "a hidden file": (tar_with((member("d/.partial"), b"")), "isn't a file of a dump"),
    "no contents": (tar_with((member("d/1.dat.gz"), b"x")), "has no toc.dat"),
    "false contents": (tar_with((member("d/toc.dat"), b"SELECT 1")), "was not written by pg_dump"),
    "pg_dump's own tar": (tar_with((member("restore.sql"), b"")), "pg_dump --format=tar"),
    "no end": (tar_with((member("d/toc.dat"), b"PGDMP"))[:1024], "its end is missing"),
    "cut short": (tar_with((member("d/toc.dat"), b"PGDMP" * 1000))[:3000], "truncated|unexpected end"),
    "gzip cut short": (
        gzip.compress(tar_with((member("d/toc.dat"), random.Random(6).randbytes(50_000))))[:40_000],
        "truncated|its end",
    ),
    "a manifest of another": (
        tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/manifest.json"), b"{}")),
        "can't read the dump",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsupported_file_is_refused_with_the_reason_and_deleted(case: str, tmp_path: Path) -> None:
    content, words = REFUSED[case]

    with pytest.raises(UploadRefused, match=words) as refusal:
        import_backup(content, tmp_path)

    assert "pg_dump --format=custom" in refusal.value.message
    assert is_upload_deleted(tmp_path)


def test_a_tar_that_exceeds_the_unpacking_limit_is_refused(
    tmp_path: Path,
) -> None:
    bomb = gzip.compress(tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/1.dat"), bytes(50 << 20))))
    assert len(bomb) < 100_000

    with pytest.raises(UploadRefused, match="unpacks to more than the limit of 10 MB"):
        import_backup(bomb, tmp_path, max_unpacked_bytes=10 << 20)

    assert is_upload_deleted(tmp_path)


def test_a_tar_larger_than_the_disk_space_is_refused(tmp_path: Path) -> None:
    huge = member("d/1.dat")
    huge.size = 1 << 60
    with pytest.raises(OperationFailed, match=r"unpacks to more than the .* bytes free on the backup disk"):
        import_backup(huge.tobuf(tarfile.GNU_FORMAT) + bytes(4096), tmp_path, max_unpacked_bytes=1 << 61)
    assert is_upload_deleted(tmp_path)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE)
    header.size = 1 << 40
    with pytest.raises(UploadRefused, match="a header that is too long for a dump"):
        import_backup(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096), tmp_path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    header = member("d/toc.dat")
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12}
    content = header.tobuf(tarfile.PAX_FORMAT) + bytes(10240)
    with pytest.raises(UploadRefused):
        import_backup(content, tmp_path)
    assert is_upload_deleted(tmp_path)


def test_a_tar_without_a_data_file_is_refused(shop: ConnectionSpec, tmp_path: Path) -> None:
    folder = pg_dump(shop, tmp_path / "x", "directory")
    next(path for path in folder.iterdir() if path.name[0].isdigit()).unlink()

    with pytest.raises(UploadRefused, match=r"The data of 1 of 2 tables is missing"):
        import_backup(tar_of(folder, tmp_path / "x.tar"), tmp_path)


def test_a_manifest_that_does_not_match_the_files_is_refused(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    rows = next(path for path in made.path.iterdir() if path.name.endswith(".dat.gz"))
    rows.write_bytes(rows.read_bytes() + b"x")

    with pytest.raises(UploadRefused, match=f"{rows.name} .*has grown"):
        import_backup(tar_of(made.path, tmp_path / "x.tar"), tmp_path)


def test_a_missing_upload_is_reported(tmp_path: Path) -> None:
    job = job_with(b"x", tmp_path)
    job.target.uploads.file(job.params.upload).unlink()
    with pytest.raises(StorageError, match="no longer exists"):
        ImportBackup().perform(job)


@pytest.mark.parametrize("number", ["", "../../x", "x" * 32, "0" * 31, "0" * 32 + "\n"])
def test_an_invalid_upload_number_is_refused(tmp_path: Path, number: str) -> None:
    job = FakeJob(NOWHERE, params=ImportBackup.Params(upload=number), tmp_path=tmp_path)
    with pytest.raises(StorageError, match="isn't a valid upload ID"):
        ImportBackup().perform(job)


def test_restoring_an_imported_dump_that_runs_a_program_fails(shop: ConnectionSpec, tmp_path: Path) -> None:
    """[21], uploaded."""
    proof = tmp_path / "ran"
    tmp_path.chmod(0o777)
    with connect(shop, application_name="test") as session:
        session.execute(
            """
            CREATE FUNCTION evil(n int) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN
                IF current_database() LIKE 'deployctl%' THEN
                    EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch PROOF''';
                END IF;
                RETURN true;
            END $$;
            ALTER TABLE "Plan" ADD CHECK (evil(id));
            """.replace("PROOF", str(proof)).encode()
        )
    _, imported = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)

    with pytest.raises(OperationFailed, match="to COPY to or from an external program"):
        perform(RestoreTest, shop, tmp_path, imported, backup=imported.name)

    assert not proof.exists()
    assert databases_of(shop) == [shop.dbname]


def test_values_in_a_table_of_contents_are_validated() -> None:
    listing = (
        ";\n; Archive created at 2999-01-01 00:00:00 UTC\n;     dbname: $(x) --file=y\n"
        ";     Compression: gzip\n;     Dumped from database version: 15.18 (Debian; rm -rf /)\n"
        ";     Dumped by pg_dump version: 16.14\n;\n"
        "3344; 0 16385 TABLE DATA public Plan postgres\n3; 0 1 TABLE public TABLE DATA x\n"
    )
    found = dump_toc.parse(listing)

    assert found.created_at.year < 2999
    assert (found.server_version, found.tool_version) == ("15.18", "16.14")
    assert found.data_numbers == ("3344",)
    with pytest.raises(UploadRefused, match="doesn't state the versions"):
        dump_toc.parse(listing.replace("16.14", "x; rm"))


def test_a_program_that_reads_untrusted_input_gets_resource_limits(tmp_path: Path) -> None:
    limits = [sys.executable, "-I", "-S", rlimit_exec.__file__, str(1 << 30), "60", "4096"]
    script = "import resource, sys; sys.stdout.write(str([resource.getrlimit(k)[0] for k in "
    script += (
        f"({resource.RLIMIT_AS}, {resource.RLIMIT_CPU}, {resource.RLIMIT_FSIZE}, {resource.RLIMIT_CORE})]))"
    )
    completed = subprocess.run(
        [*limits, sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert completed.stdout == str([1 << 30, 60, 4096, 0])


def test_a_large_backup_is_downloaded_with_little_memory(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    with (folder / "1.dat").open("wb") as file:
        file.truncate(150 << 20)
    (folder / "toc.dat").write_bytes(b"PGDMP")
    written = manifest_of(folder)
    digest = written.write(folder)
    script = f"""
import resource
from pathlib import Path
from deployctl.operations.backup import archive
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
opened = archive.open_backup("large", Path({str(folder)!r}), expected_sha256={digest!r})
sent = sum(map(len, opened.chunks()))
print(sent == opened.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert output[0] == "True"
    assert int(output[1]) < 15_000  # kilobytes


def manifest_of(folder: Path) -> manifest.Manifest:
    """Return a manifest of the files in a folder."""
    source: dict[str, Any] = dict.fromkeys(("target", "database", "encoding", "collate", "ctype"), "x")
    return manifest.Manifest(
        name=folder.name,
        format="directory",
        compression="none",
        tool_version="15.1",
        snapshot_at=dt.datetime.now(dt.UTC),
        source=manifest.Source(database_oid=1, system_identifier=None, server_version="15.1", **source),
        counts=(),
        files=manifest.files_of(folder),
    )


@pytest.mark.parametrize("damage", ["changed", "truncated", "missing", "added"])
def test_the_download_of_a_damaged_backup_is_truncated(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    # Zeros, because a random first byte could equal the one written below.
    (folder / "1.dat").write_bytes(bytes(3 << 20))
    (folder / "toc.dat").write_bytes(b"PGDMP")
    digest = manifest_of(folder).write(folder)
    if damage == "changed":
        with (folder / "1.dat").open("r+b") as file:
            file.write(b"x")
    elif damage == "truncated":
        os.truncate(folder / "1.dat", 5)
    elif damage == "missing":
        (folder / "1.dat").unlink()
    else:
        (folder / "2.dat").write_bytes(b"")

    sent: list[int] = []
    with pytest.raises(manifest.Damaged, match="2.dat" if damage == "added" else "1.dat"):
        sent.extend(map(len, archive.open_backup("one", folder, expected_sha256=digest).chunks()))

    assert sum(sent) < 3 << 20


def test_a_downloaded_tar_can_be_unpacked_with_tar(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    (tmp_path / "x.tar").write_bytes(
        b"".join(archive.open_backup(made.name, made.path, expected_sha256=made.manifest_sha256).chunks())
    )
    subprocess.run(["/usr/bin/env", "tar", "-xf", "x.tar"], cwd=tmp_path, check=True)
    for path in made.path.iterdir():
        assert (tmp_path / made.name / path.name).read_bytes() == path.read_bytes()
    subprocess.run(
        ["/usr/bin/env", "sha256sum", "--status", "-c", "manifest.sha256"],
        cwd=tmp_path / made.name,
        check=True,
    )
