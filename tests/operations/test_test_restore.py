"""Tests for test restores: which backups are proven, and which are rejected."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.backup import manifest, table_stats
from deployctl.operations.backup.manifest import Damaged, Manifest
from deployctl.operations.framework.base import Cancelled, OperationFailed
from deployctl.operations.kinds.test_restore import RestoreTest
from deployctl.operations.restore import pg_restore, scratch_database
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import advisory, databases, relations
from tests.operations.restores import back_up, databases_of, job_for, on_record, perform
from tests.operations.test_backup import UNUSUAL_NAMES
from tests.waiting import until

RICH = """
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TABLE parent (id int PRIMARY KEY, mood mood, at timestamptz DEFAULT now(), price money, f float8,
                         bytes bytea, twice int GENERATED ALWAYS AS (id * 2) STORED, n positive);
    INSERT INTO parent (id, mood, price, f, bytes, n)
        SELECT n, 'happy', n, 1.0 / n, decode(md5(n::text), 'hex'), n FROM generate_series(1, 2000) AS n;
    CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent);
    INSERT INTO child SELECT n, n FROM generate_series(1, 2000) AS n;
    CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
    CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (1000);
    INSERT INTO parted SELECT n, repeat('x', n) FROM generate_series(0, 999) AS n;
    CREATE TABLE heir (extra text) INHERITS (child);
    INSERT INTO heir VALUES (1, 1, NULL), (2, 2, '');
    CREATE TABLE twins (n int);
    INSERT INTO twins VALUES (1), (1), (2);
    CREATE TABLE t (t int); INSERT INTO t VALUES (1);
    CREATE TABLE nothing ();
    SELECT lo_from_bytea(0, convert_to(repeat('large', 500000), 'UTF8')), lo_from_bytea(0, '');
"""


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute(RICH)
    return spec


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_restored_backup_is_proven_and_the_copy_dropped(
    shop: ConnectionSpec, tmp_path: Path, jobs: int
) -> None:
    artefact = back_up(shop, tmp_path)

    job, outcome = perform(RestoreTest, shop, tmp_path, artefact, jobs=jobs)

    assert outcome.trust == {artefact.name: ("hashed", "restored", "proven")}
    assert outcome.facts["rows"] == sum(artefact.counts.values())
    assert outcome.facts["restore_s"]
    assert databases_of(shop) == [shop.dbname]
    restored = [progress for progress in job.progress if progress.phase == "restore"]
    assert [one.done for one in restored] == sorted(one.done for one in restored)
    assert {(one.unit, one.total) for one in restored} == {("rows", sum(artefact.counts.values()))}


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM heir WHERE id = 2", "public.heir has 1 row instead of 2"),
        (
            "UPDATE parent SET f = f + 1e-9 WHERE id = 7",
            "public.parent has the right number of rows, but different",
        ),
        ("UPDATE heir SET extra = '' WHERE extra IS NULL", "public.heir has the right number of rows, but"),
        ("UPDATE twins SET n = 2 WHERE n = 1", "public.twins has the right number"),
        ("DROP TABLE twins", "table public.twins is missing"),
        ("CREATE TABLE more ()", "table public.more was not backed up"),
        ("SELECT lo_put(max(oid), 0, '!') FROM pg_largeobject_metadata", "the large objects differ"),
        ("SELECT lo_put(min(oid), 2000000, '!') FROM pg_largeobject_metadata", "the large objects differ"),
    ],
)
def test_different_content_fails_the_test_restore(
    shop: ConnectionSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: Callable[[str], None],
    change: str,
    expected: str,
) -> None:
    artefact = back_up(shop, tmp_path)
    restore = pg_restore.restore

    def restore_and_change(*args: object, into: str, **options: object) -> None:
        restore(*args, into=into, **options)  # type: ignore[arg-type]
        with connect(shop.with_database(into), application_name="test") as session:
            session.execute(change.encode())

    monkeypatch.setattr(pg_restore, "restore", restore_and_change)

    with pytest.raises(OperationFailed, match=expected):
        perform(RestoreTest, shop, tmp_path, artefact)
    assert databases_of(shop) == [shop.dbname]
    seen(f"“{expected}”")


def test_digests_do_not_depend_on_order_or_settings(shop: ConnectionSpec) -> None:
    with connect(shop, application_name="test") as session:
        session.execute("CREATE TABLE copied (LIKE parent INCLUDING ALL)")
        session.execute(
            "INSERT INTO copied (id, mood, at, price, f, bytes, n)"
            " SELECT id, mood, at, price, f, bytes, n FROM parent ORDER BY id DESC"
        )
    found: list[str] = []
    for settings in ("", "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = 0"):
        with connect(shop, application_name="test") as session:
            session.execute(settings.encode())
            stats = table_stats.TableStats()
            tables = [one for one in relations.tables(session) if one.name in ("parent", "copied")]
            table_stats.collect(session, tables, stats)
            found += stats.digests.values()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_backup_without_digests_is_restored_but_not_proven(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path, digests=False)

    _, outcome = perform(RestoreTest, shop, tmp_path, artefact)

    assert outcome.trust == {artefact.name: ("hashed", "restored")}


def test_a_manifest_of_version_1_can_be_read(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    written = manifest.read(artefact.path)
    old = written.as_json() | {"version": 1}
    del old["large_objects"]
    for count in old["counts"]:
        del count["digest"]

    read = Manifest.from_json(json.loads(json.dumps(old)))

    assert not read.has_digests
    assert read.files == written.files
    assert [count.rows for count in read.counts] == [count.rows for count in written.counts]


def test_a_damaged_backup_is_rejected_before_the_restore(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    path = max(artefact.path.glob("*.dat.gz"), key=lambda one: one.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(Damaged, match=f"{path.name} of .* is truncated"):
        perform(RestoreTest, shop, tmp_path, artefact)


def test_the_newest_backup_is_the_default(shop: ConnectionSpec, tmp_path: Path) -> None:
    first = on_record(back_up(shop, tmp_path), "proven")
    second = on_record(back_up(shop, tmp_path))

    assert perform(RestoreTest, shop, tmp_path, second, first)[1].facts["backup"] == second.name
    named = perform(RestoreTest, shop, tmp_path, second, first, backup=first.name)[1]
    assert named.facts["backup"] == first.name
    with pytest.raises(OperationFailed, match="has no backup other"):
        perform(RestoreTest, shop, tmp_path, second, backup="other")
    with pytest.raises(OperationFailed, match="shop has no backup"):
        perform(RestoreTest, shop, tmp_path)


@pytest.mark.parametrize("grant", ["SUPERUSER", "pg_execute_server_program"])
def test_a_role_that_could_run_programs_on_the_server_is_rejected(
    shop: ConnectionSpec, tmp_path: Path, postgres_superuser_url: str, grant: str
) -> None:
    artefact = back_up(shop, tmp_path)
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        role = psycopg.sql.Identifier(shop.user)
        verb = "ALTER ROLE {} SUPERUSER" if grant == "SUPERUSER" else f"GRANT {grant} TO {{}}"
        admin.execute(psycopg.sql.SQL(verb).format(role))

    with pytest.raises(OperationFailed, match=r"could run programs on the server.*Create an ordinary role"):
        perform(RestoreTest, shop, tmp_path, artefact)
    assert databases_of(shop) == [shop.dbname]


def test_a_role_without_createdb_is_rejected_with_the_statement(
    shop: ConnectionSpec, tmp_path: Path, postgres_superuser_url: str
) -> None:
    artefact = back_up(shop, tmp_path)
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        admin.execute(psycopg.sql.SQL("ALTER ROLE {} NOCREATEDB").format(psycopg.sql.Identifier(shop.user)))

    with pytest.raises(OperationFailed, match=f'ALTER ROLE "{shop.user}" CREATEDB;'):
        perform(RestoreTest, shop, tmp_path, artefact)


@pytest.mark.fault(21)
def test_a_dump_that_runs_a_program_fails_without_running_it(
    make_database: Callable[..., str],
    tmp_path: Path,
    postgres_superuser_url: str,
    seen: Callable[[str], None],
) -> None:
    # The server's account can't write below pytest's folder.
    open_folder = Path(os.environ["TEST_FOLDER"]) / f"open-{uuid.uuid4().hex}"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    spec, proof = parse_url(make_database()), open_folder / "ran"
    with connect(spec, application_name="test") as session:
        session.execute(
            """
            CREATE TABLE harmless (n int);
            INSERT INTO harmless VALUES (1);
            CREATE FUNCTION evil(n int) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN
                IF current_database() LIKE 'deployctl%' THEN
                    EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat > PROOF''';
                END IF;
                RETURN true;
            END $$;
            ALTER TABLE harmless ADD CHECK (evil(n));
            """.replace("PROOF", str(proof)).encode()
        )
    artefact = back_up(spec, tmp_path)

    with pytest.raises(OperationFailed, match="to COPY to or from an external program"):
        perform(RestoreTest, spec, tmp_path, artefact)
    assert not proof.exists()
    assert databases_of(spec) == [spec.dbname]
    with psycopg.connect(postgres_superuser_url) as admin:
        admin.execute(f"COPY (SELECT 1) TO PROGRAM 'cat > {proof}'".encode())
    assert proof.exists(), "as superuser it would have run"
    seen("nothing ran (a superuser could run it); “permission denied to COPY to … a program”")


@pytest.mark.fault(22)
@pytest.mark.parametrize("name", UNUSUAL_NAMES)
def test_databases_with_special_names_are_proven(
    make_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    spec = parse_url(make_database(name))
    with connect(spec, application_name="test") as session:
        session.execute(
            psycopg.sql.SQL("CREATE TABLE {} AS SELECT 1 AS n").format(psycopg.sql.Identifier(name))
        )
    artefact = back_up(spec, tmp_path)

    assert perform(RestoreTest, spec, tmp_path, artefact)[1].trust[artefact.name][-1] == "proven"
    assert databases_of(spec) == [name]


def test_a_cancellation_ends_the_restore_and_drops_the_copy(
    shop: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = back_up(shop, tmp_path)
    job = job_for(RestoreTest, shop, tmp_path, [artefact])
    monkeypatch.setattr(
        table_stats, "collect", lambda session, *_, **__: session.execute("SELECT pg_sleep(600)")
    )
    counts = (
        "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND query LIKE '%%pg_sleep(600)%%'"
        " AND state = 'active'"
    )

    def cancel() -> None:
        with connect(shop.with_database("postgres"), application_name="watch") as watch:
            try:
                until(lambda: watch.execute(counts, (job.application_name,)).fetchone())
            finally:
                job.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises((Cancelled, OperationFailed)):
        RestoreTest().perform(job)
    canceller.join()
    job.close()
    assert databases_of(shop) == [shop.dbname]


def test_only_unused_scratch_databases_are_dropped(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    suffix = uuid.uuid4().hex[:8]  # database names are shared by all tests on the server
    leftover, used, unrelated = (f"deployctl_scratch_{n}_{suffix}" for n in (1, 2, 3))
    with connect(shop.with_database("postgres"), application_name="other run") as other:
        for name in (leftover, used, unrelated):
            comment = "of another owner" if name == unrelated else f"{scratch_database.MARK} of x"
            databases.create_like(other, name, encoding="UTF8", collate="C", ctype="C")
            databases.comment(other, name, comment)
        assert advisory.try_lock(other, used)

        job, _ = perform(RestoreTest, shop, tmp_path, artefact)

        assert f"Dropped {leftover} of a run that was killed" in job.text
        assert databases_of(shop) == sorted([used, unrelated, shop.dbname])


def test_a_manifest_with_a_wrong_count_fails_the_test_restore(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    written = manifest.read(artefact.path)
    first = dataclasses.replace(written.counts[0], rows=written.counts[0].rows + 1)
    dataclasses.replace(written, counts=(first, *written.counts[1:])).write(artefact.path)

    with pytest.raises(Damaged, match="not the one written with the backup"):
        perform(RestoreTest, shop, tmp_path, artefact)
