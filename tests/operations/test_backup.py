"""The operation “Back up”: the backup has the content of the database."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deployctl.operations.backup import manifest
from deployctl.operations.backup.dump_plan import backup_name
from deployctl.operations.framework.base import BackupArtefact, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.backup import Backup
from deployctl.postgres import process
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import relations, server
from deployctl.postgres.tools import find_tool

UNUSUAL_NAMES = [
    'with "quotes"',
    "line\nbreak",
    "$(touch /tmp/never)",
    "--file=x",
    "host=example.invalid dbname=postgres",
]


def back_up(
    spec: ConnectionSpec, tmp_path: Path, **options: object
) -> tuple[FakeJob, Outcome, BackupArtefact]:
    job = FakeJob(spec, params=Backup.Params(), tmp_path=tmp_path, **options)  # type: ignore[arg-type]
    outcome = Backup().perform(job)
    assert outcome.artefact is not None
    return job, outcome, outcome.artefact


def restore(artefact: BackupArtefact, into: ConnectionSpec) -> dict[str, int]:
    """Restore a backup with pg_restore, and return the row counts."""
    with connect(into, application_name="test") as session:
        tool = find_tool("pg_restore", server_major=server.facts(session).major)
    with process.child_environment(into, application_name="test") as env:
        # "--dbname=" takes the name from PGDATABASE.
        completed = process.run(
            [str(tool.path), "--exit-on-error", "--no-owner", "--dbname=", "--", str(artefact.path)],
            env=env,
            timeout_s=60,
        )
    assert completed.ok
    with connect(into, application_name="test") as session:
        found = relations.tables(session)
        return {table.key: relations.count_rows(session, table.identifier) for table in found}


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute(
            """
            CREATE TABLE "Plan" (id int PRIMARY KEY, name text);
            INSERT INTO "Plan" SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n;
            CREATE TABLE empty (id int);
            CREATE SCHEMA "odd ""schema";
            CREATE TABLE "odd ""schema"."line
break TABLE DATA" AS SELECT 1 AS "$(x)";
            """
        )
    return spec


def test_a_backup_restores_with_the_counts_of_its_manifest(
    shop: ConnectionSpec, make_database: Callable[..., str], tmp_path: Path
) -> None:
    job, outcome, artefact = back_up(shop, tmp_path)

    assert artefact.counts == {
        "public.Plan": 5000,
        "public.empty": 0,
        'odd "schema.line\nbreak TABLE DATA': 1,
    }
    assert restore(artefact, parse_url(make_database())) == artefact.counts
    assert job.target.backups.list() == (artefact.path,)
    assert outcome.summary.startswith(f"Backup {artefact.name}: 3 tables with 5,001 rows in ")
    assert [state for _, state in job.steps] == ["succeeded"] * 6


def test_the_manifest_names_its_source_and_matches_every_file(shop: ConnectionSpec, tmp_path: Path) -> None:
    _, outcome, artefact = back_up(shop, tmp_path)

    written = manifest.read(artefact.path, expected_sha256=artefact.manifest_sha256)
    manifest.check(artefact.path, written)

    with connect(shop, application_name="test") as session:
        identity = server.identity(session)
    assert written.name == artefact.name == artefact.path.name
    assert (written.source.database, written.source.target) == (shop.dbname, "shop")
    assert written.source.database_oid == identity.database_oid
    assert written.source.system_identifier == identity.system_identifier
    assert (artefact.files, artefact.size_bytes) == (len(written.files), written.size_bytes)
    assert artefact.files == 4  # the table of contents, and a file for each table
    assert outcome.facts["manifest_sha256"] == artefact.manifest_sha256
    assert written.snapshot_at == artefact.snapshot_at


def test_counts_and_rows_are_of_one_snapshot_while_others_write(
    shop: ConnectionSpec, make_database: Callable[..., str], tmp_path: Path
) -> None:
    done = threading.Event()

    def write() -> None:
        with connect(shop, application_name="writer") as session:
            number = 10_000
            while not done.is_set():
                number += 1
                session.execute('INSERT INTO "Plan" VALUES (%s)', (number,))
                session.execute("INSERT INTO empty VALUES (%s)", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        _, _, artefact = back_up(shop, tmp_path)
    finally:
        done.set()
        writer.join()

    assert restore(artefact, parse_url(make_database())) == artefact.counts


@pytest.mark.fault(22)
@pytest.mark.parametrize("name", UNUSUAL_NAMES)
def test_databases_with_unusual_names_are_backed_up(
    make_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    spec = parse_url(make_database(name))
    with connect(spec, application_name="test") as session:
        session.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS n").format(sql.Identifier(name)))

    _, _, artefact = back_up(spec, tmp_path, name=name)

    assert artefact.counts == {f"public.{name}": 1}
    assert artefact.path.parent == tmp_path / "backups"
    assert restore(artefact, parse_url(make_database())) == artefact.counts


def test_an_empty_database_is_backed_up(make_database: Callable[..., str], tmp_path: Path) -> None:
    _, outcome, artefact = back_up(parse_url(make_database()), tmp_path)

    assert artefact.counts == {}
    assert outcome.facts["rows"] == 0


def test_progress_never_decreases_and_reaches_its_total(shop: ConnectionSpec, tmp_path: Path) -> None:
    with connect(shop, application_name="test") as session:
        session.execute(
            'INSERT INTO "Plan" SELECT n, repeat(md5(n::text), 20) FROM generate_series(6000, 90000) n'
        )

    job, _, _ = back_up(shop, tmp_path)

    for phase in ("dump", "hash", "read back"):
        reported = [progress for progress in job.progress if progress.phase == phase]
        assert {progress.unit for progress in reported} == {"bytes"}
        assert [progress.done for progress in reported] == sorted(progress.done for progress in reported)
        assert reported[-1].done == reported[-1].total
        assert reported[-1].done > 0


def test_the_password_is_neither_in_the_log_nor_in_the_backup(shop: ConnectionSpec, tmp_path: Path) -> None:
    job, _, artefact = back_up(shop, tmp_path)

    assert shop.password not in job.text
    assert shop.password.encode() not in bytes(job.output)
    assert not any(shop.password.encode() in path.read_bytes() for path in artefact.path.iterdir())


def test_the_timeouts_of_the_database_do_not_end_a_backup(
    shop: ConnectionSpec, postgres_superuser_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            admin.execute(
                sql.SQL("ALTER DATABASE {} SET {} = '20ms'").format(
                    sql.Identifier(shop.dbname), sql.Identifier(limit)
                )
            )

    back_up(shop, tmp_path)


def test_backup_names_sort_by_time_and_are_safe_folder_names() -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=1)))

    assert backup_name("shop", at, 7) == "shop-20260102T020405Z-run7"
    assert backup_name("../../etc/$(x)\n", at, 7) == "etc-x-20260102T020405Z-run7"
    assert backup_name("…", at, 7) == "target-20260102T020405Z-run7"
    assert len(backup_name("x" * 300, at, 7)) < 100
