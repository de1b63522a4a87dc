"""Uploads: what is taken in, what is refused and why, and how far a dump from elsewhere is trusted."""

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
    """A dump made without deployctl."""
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
    """A job for what was sent in."""
    (tmp_path / "backups").mkdir(exist_ok=True)
    most = {"at_most": 1 << 30, "unpacked_at_most": 1 << 30} | limits
    uploads = Uploads(LocalFolder(tmp_path / "backups"), **most)
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


def nothing_is_left(tmp_path: Path) -> bool:
    return [path.name for path in (tmp_path / "backups").rglob("*")] == [".uploads"]


@pytest.mark.parametrize("form", ["custom", "tar", "tar.gz"])
def test_a_dump_made_elsewhere_becomes_a_backup_that_is_restored_only_when_asked_for(
    shop: ConnectionSpec, tmp_path: Path, form: str
) -> None:
    if form == "custom":
        sent = pg_dump(shop, tmp_path / "x", "custom")
    else:
        folder = pg_dump(shop, tmp_path / "x", "directory")
        sent = tar_of(folder, tmp_path / "x.tar", mode="w:gz" if form == "tar.gz" else "w")

    outcome, taken = import_backup(sent, tmp_path)

    assert outcome.facts["format"] == ("custom" if form == "custom" else "directory")
    assert (outcome.facts["counted"], outcome.facts["digests"]) == (False, False)
    assert taken.server_version.startswith("1")
    assert taken.counts == {}
    assert taken.path.name.startswith("shop-uploaded-")
    assert [path.name for path in (tmp_path / "backups").rglob("*") if path.is_file()] != []
    assert list((tmp_path / "backups" / ".uploads").iterdir()) == []

    job, restored = perform(RestoreTest, shop, tmp_path, taken, backup=taken.name)
    assert restored.trust == {taken.name: ("hashed", "restored")}
    assert restored.facts["rows"] == 500
    assert "not compared" in restored.summary
    assert {one.total for one in job.progress if one.phase == "restore"} == {None}

    with pytest.raises(OperationFailed, match="accept that numbers of rows suffice"):
        perform(Restore, shop, tmp_path, taken, backup=taken.name)
    _, brought_back = perform(Restore, shop, tmp_path, taken, backup=taken.name, accept_row_counts=True)
    assert brought_back.facts["rows"] == 500


def test_a_downloaded_backup_comes_back_with_its_manifest_and_can_be_proven(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
    made = back_up(shop, tmp_path)
    handed_out = archive.open_backup(made.name, made.path, expected_sha256=made.manifest_sha256)
    sent = b"".join(handed_out.chunks())
    assert len(sent) == handed_out.size

    outcome, taken = import_backup(sent, tmp_path)

    assert taken.name != made.name
    assert taken.manifest_sha256 == made.manifest_sha256
    assert taken.counts == made.counts
    assert outcome.facts["digests"] is True
    _, restored = perform(RestoreTest, shop, tmp_path, taken, backup=taken.name)
    assert restored.trust == {taken.name: ("hashed", "restored", "proven")}


def test_an_uploaded_backup_can_be_downloaded_and_uploaded_again(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
    _, once = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)
    handed_out = archive.open_backup(once.name, once.path, expected_sha256=once.manifest_sha256)

    # Names are to the second and of the run; a run is another each time.
    _, again = import_backup(b"".join(handed_out.chunks()), tmp_path)

    assert again.manifest_sha256 == once.manifest_sha256
    assert again.format == "custom"


def test_nothing_chooses_an_upload_by_itself(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    _, taken = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)
    uploaded = dataclasses.replace(on_record(taken, "restored"), uploaded_at=taken.snapshot_at)

    _, outcome = perform(RestoreTest, shop, tmp_path, on_record(made), uploaded)
    assert outcome.facts["backup"] == made.name

    job = job_for(Restore, shop, tmp_path, [uploaded])
    with pytest.raises(OperationFailed, match="Say which of them by its name"):
        Restore().perform(job)


GZIPPED_SQL = gzip.compress(b"-- PostgreSQL database dump\nCREATE TABLE t ();\n")
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty or damaged"),
    "a script": (b"--\n-- PostgreSQL database dump\n--\nDROP TABLE t;\n", "A script is never run"),
    "a compressed script": (GZIPPED_SQL, "holds text, such as the SQL"),
    "a page": (b"<!doctype html><p>" * 500, "text"),
    "bytes": (random.Random(5).randbytes(5000), "nothing that pg_dump writes"),
    "another archive": (b"PK\x03\x04" + bytes(500), "an archive of a kind that is not read here"),
    "a dump cut short": (b"PGDMP\x01\x0e", "cannot read the dump"),
    "a path out": (tar_with((member("../toc.dat"), b"PGDMP")), "outside of a dump's folder"),
    "an absolute path": (tar_with((member("/etc/toc.dat"), b"PGDMP")), "outside of a dump's folder"),
    "a deep path": (tar_with((member("a/b/toc.dat"), b"PGDMP")), "outside of a dump's folder"),
    "a link": (tar_with((member("d/toc.dat", tarfile.SYMTYPE, "/etc/passwd"), b"")), "a link, a device"),
    "a hard link": (tar_with((member("d/toc.dat", tarfile.LNKTYPE, "/etc/passwd"), b"")), "a link, a device"),
    "a device": (tar_with((member("d/toc.dat", tarfile.CHRTYPE), b"")), "a link, a device"),
    "a pipe": (tar_with((member("d/toc.dat", tarfile.FIFOTYPE), b"")), "a link, a device"),
    "twice": (tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/toc.dat"), b"x")), "toc.dat twice"),
    "two folders": (tar_with((member("d/toc.dat"), b"PGDMP"), (member("e/1.dat"), b"x")), "of two folders"),
    "a strange file": (tar_with((member("d/$(touch x)"), b"")), "no file of a dump"),
    "a dashed file": (tar_with((member("d/--file=x"), b"")), "no file of a dump"),
    "a line break": (tar_with((member("d/toc.dat\n"), b"")), "no file of a dump"),
    "a hidden file": (tar_with((member("d/.partial"), b"")), "no file of a dump"),
    "no contents": (tar_with((member("d/1.dat.gz"), b"x")), "holds no toc.dat"),
    "false contents": (tar_with((member("d/toc.dat"), b"SELECT 1")), "was not written by pg_dump"),
    "pg_dump's own tar": (tar_with((member("restore.sql"), b"")), "pg_dump --format=tar"),
    "no end": (tar_with((member("d/toc.dat"), b"PGDMP"))[:1024], "its end is missing"),
    "cut short": (tar_with((member("d/toc.dat"), b"PGDMP" * 1000))[:3000], "broken off|unexpected end"),
    "gzip cut short": (
        gzip.compress(tar_with((member("d/toc.dat"), random.Random(6).randbytes(50_000))))[:40_000],
        "broken off|its end",
    ),
    "a manifest of another": (
        tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/manifest.json"), b"{}")),
        "cannot read the dump",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_dump_is_refused_in_words_and_nothing_of_it_is_left(what: str, tmp_path: Path) -> None:
    content, words = REFUSED[what]

    with pytest.raises(UploadRefused, match=words) as refusal:
        import_backup(content, tmp_path)

    assert "pg_dump --format=custom" in refusal.value.sentence
    assert nothing_is_left(tmp_path)


def test_a_tar_that_unpacks_to_more_than_is_allowed_is_refused_before_it_fills_the_disk(
    tmp_path: Path,
) -> None:
    bomb = gzip.compress(tar_with((member("d/toc.dat"), b"PGDMP"), (member("d/1.dat"), bytes(50 << 20))))
    assert len(bomb) < 100_000

    with pytest.raises(UploadRefused, match="more than the 10 MB that it may unpack to"):
        import_backup(bomb, tmp_path, unpacked_at_most=10 << 20)

    assert nothing_is_left(tmp_path)


def test_a_tar_that_the_disk_has_no_room_for_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    huge = member("d/1.dat")
    huge.size = 1 << 60
    with pytest.raises(OperationFailed, match="bytes, and the tar holds more"):
        import_backup(huge.tobuf(tarfile.GNU_FORMAT) + bytes(4096), tmp_path, unpacked_at_most=1 << 61)
    assert nothing_is_left(tmp_path)


def test_a_header_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE)
    header.size = 1 << 40
    with pytest.raises(UploadRefused, match="a header that is longer than any dump's"):
        import_backup(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096), tmp_path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    header = member("d/toc.dat")
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12}
    content = header.tobuf(tarfile.PAX_FORMAT) + bytes(10240)
    with pytest.raises(UploadRefused):
        import_backup(content, tmp_path)
    assert nothing_is_left(tmp_path)


def test_a_folder_that_was_packed_without_its_rows_is_refused(shop: ConnectionSpec, tmp_path: Path) -> None:
    folder = pg_dump(shop, tmp_path / "x", "directory")
    next(path for path in folder.iterdir() if path.name[0].isdigit()).unlink()

    with pytest.raises(UploadRefused, match=r"The rows of 1 of 2 tables are missing"):
        import_backup(tar_of(folder, tmp_path / "x.tar"), tmp_path)


def test_a_manifest_that_does_not_fit_is_refused(shop: ConnectionSpec, tmp_path: Path) -> None:
    made = back_up(shop, tmp_path)
    rows = next(path for path in made.path.iterdir() if path.name.endswith(".dat.gz"))
    rows.write_bytes(rows.read_bytes() + b"x")

    with pytest.raises(UploadRefused, match=f"{rows.name} .*has grown"):
        import_backup(tar_of(made.path, tmp_path / "x.tar"), tmp_path)


def test_a_file_that_is_not_there_any_more_is_told(tmp_path: Path) -> None:
    job = job_with(b"x", tmp_path)
    job.target.uploads.file(job.params.upload).unlink()
    with pytest.raises(StorageError, match="not there any more"):
        ImportBackup().perform(job)


@pytest.mark.parametrize("number", ["", "../../x", "x" * 32, "0" * 31, "0" * 32 + "\n"])
def test_a_number_that_is_none_leads_nowhere(tmp_path: Path, number: str) -> None:
    job = FakeJob(NOWHERE, params=ImportBackup.Params(upload=number), tmp_path=tmp_path)
    with pytest.raises(StorageError, match="no upload"):
        ImportBackup().perform(job)


def test_a_dump_that_runs_a_program_is_taken_in_and_its_restore_fails_without_a_process(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
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
    _, taken = import_backup(pg_dump(shop, tmp_path / "x", "custom"), tmp_path)

    with pytest.raises(OperationFailed, match="to COPY to or from an external program"):
        perform(RestoreTest, shop, tmp_path, taken, backup=taken.name)

    assert not proof.exists()
    assert databases_of(shop) == [shop.dbname]


def test_what_a_list_says_is_believed_only_as_far_as_it_can_be() -> None:
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
    with pytest.raises(UploadRefused, match="does not say which versions"):
        dump_toc.parse(listing.replace("16.14", "x; rm"))


def test_a_program_that_reads_what_a_stranger_made_gets_no_more_than_its_limits(tmp_path: Path) -> None:
    limits = [sys.executable, "-I", "-S", rlimit_exec.__file__, str(1 << 30), "60", "4096"]
    script = "import resource, sys; sys.stdout.write(str([resource.getrlimit(k)[0] for k in "
    script += (
        f"({resource.RLIMIT_AS}, {resource.RLIMIT_CPU}, {resource.RLIMIT_FSIZE}, {resource.RLIMIT_CORE})]))"
    )
    said = subprocess.run([*limits, sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == str([1 << 30, 60, 4096, 0])


def test_memory_stays_small_while_a_large_backup_is_handed_out(tmp_path: Path) -> None:
    """150 MB through a tenth of that: each piece is gone before the next is read."""
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
made = archive.open_backup("large", Path({str(folder)!r}), expected_sha256={digest!r})
sent = sum(map(len, made.chunks()))
print(sent == made.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert said[0] == "True"
    assert int(said[1]) < 15_000  # kilobytes


def manifest_of(folder: Path) -> manifest.Manifest:
    """A manifest of what is in a folder."""
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


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing", "more"])
def test_a_damaged_backup_is_not_handed_out_whole(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    # Zeros: of random bytes, the first is the one that is written below once in 256 times.
    (folder / "1.dat").write_bytes(bytes(3 << 20))
    (folder / "toc.dat").write_bytes(b"PGDMP")
    digest = manifest_of(folder).write(folder)
    if damage == "changed":
        with (folder / "1.dat").open("r+b") as file:
            file.write(b"x")
    elif damage == "shorter":
        os.truncate(folder / "1.dat", 5)
    elif damage == "missing":
        (folder / "1.dat").unlink()
    else:
        (folder / "2.dat").write_bytes(b"")

    given: list[int] = []
    with pytest.raises(manifest.Damaged, match="2.dat" if damage == "more" else "1.dat"):
        given.extend(map(len, archive.open_backup("one", folder, expected_sha256=digest).chunks()))

    assert sum(given) < 3 << 20


def test_the_tar_that_is_handed_out_is_one_that_others_unpack(shop: ConnectionSpec, tmp_path: Path) -> None:
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
