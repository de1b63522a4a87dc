"""Tests for applying Prisma migrations without Node: records, failures, locks and cancellation."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.framework.base import Cancelled, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.migrations import migrator_for
from tests.operations.projects import healthcare, is_running, job_for, look_often, prisma_project, rows
from tests.waiting import until

Database = Callable[..., str]

ONE = {"1_one": "CREATE TABLE one (id int);"}
TWO = ONE | {"2_two": "CREATE TABLE two (id int); INSERT INTO one VALUES (1);"}


def apply(job: FakeJob) -> list[str]:
    assert job.target.project is not None
    return list(migrator_for(job.target.project).apply(job))


def test_the_sample_application_is_migrated_in_one_step_each(tmp_path: Path, make_database: Database) -> None:
    project = healthcare(tmp_path)
    job = job_for(project, make_database())

    applied = apply(job)

    assert len(applied) == 6
    assert job.steps == [(f"Apply {name}", "succeeded") for name in applied]
    assert [(p.done, p.total) for p in job.progress] == [(n, 6) for n in range(7)]
    assert migrator_for(project).status(job).up_to_date
    assert apply(job) == []


def test_the_records_equal_those_of_the_cli(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    apply(job_for(prisma_project(tmp_path, ONE), url))

    ((identity, checksum, finished, name, logs, rolled_back, started, steps),) = rows(
        url, "SELECT * FROM _prisma_migrations"
    )
    assert len(str(identity)) == 36
    assert checksum == hashlib.sha256(ONE["1_one"].encode()).hexdigest()
    assert (name, logs, rolled_back, steps) == ("1_one", None, None, 1)
    assert started <= finished


def test_a_failed_migration_is_rolled_back_and_blocks_the_next(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    project = prisma_project(
        tmp_path, ONE | {"2_two": "CREATE TABLE two (id int);\nSELEC 1;", "3_three": "SELECT 1"}
    )
    job = job_for(project, url)

    with pytest.raises(OperationFailed) as caught:
        apply(job)

    assert (
        'The migration 2_two failed: syntax error at or near "SELEC" (42601). It was rolled back completely.'
        in str(caught.value)
    )
    assert "This run applied these migrations before, and they remain applied: 1_one." in str(caught.value)
    assert job.steps == [("Apply 1_one", "succeeded"), ("Apply 2_two", "failed")]
    assert rows(url, "SELECT to_regclass('two')") == [(None,)]
    ((finished, rolled_back, steps, logs),) = rows(
        url,
        "SELECT finished_at, rolled_back_at, applied_steps_count, logs FROM _prisma_migrations"
        " WHERE migration_name = '2_two'",
    )
    assert (finished, rolled_back, steps) == (None, None, 0)
    assert "Database error code: 42601" in str(logs)
    with pytest.raises(
        OperationFailed, match=r"Nothing was applied\. The migration 2_two failed at .*syntax error"
    ):
        apply(job_for(project, url))
    status = migrator_for(project).status(job)
    assert (status.applied, status.pending) == (("1_one",), ("3_three",))


def test_a_resolved_migration_is_applied_again(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    with pytest.raises(OperationFailed):
        apply(job_for(prisma_project(tmp_path, ONE | {"2_two": "SELEC 1"}), url))
    rows(url, "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL")

    assert apply(job_for(prisma_project(tmp_path, TWO), url)) == ["2_two"]


def test_an_edited_migration_blocks_the_next_ones(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    apply(job_for(prisma_project(tmp_path, ONE), url))
    edited = prisma_project(tmp_path, TWO | {"1_one": "CREATE TABLE one (id bigint);"})

    with pytest.raises(OperationFailed, match=r"Nothing was applied\. Edited after they were applied: 1_one"):
        apply(job_for(edited, url))
    assert rows(url, "SELECT to_regclass('two')") == [(None,)]


def test_different_line_endings_are_not_an_edit(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    script = "CREATE TABLE one (\nid int\n);\n"
    project = prisma_project(tmp_path, {"1_one": script})
    apply(job_for(project, url))
    (tmp_path / "prisma/migrations/1_one/migration.sql").write_bytes(script.replace("\n", "\r\n").encode())

    assert migrator_for(project).status(job_for(project, url)).up_to_date


def test_a_schema_with_tables_but_no_records_is_rejected(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    rows(url, "CREATE TABLE customers ()")

    with pytest.raises(OperationFailed, match=r"has 1 table \(customers\) but no records of Prisma"):
        apply(job_for(prisma_project(tmp_path, ONE), url))
    assert rows(url, "SELECT to_regclass('_prisma_migrations')") == [(None,)]


def test_semicolons_and_percent_signs_in_bodies_are_kept(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    body = "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN; RETURN '100 %s'; END; $$;"
    script = body.replace("BEGIN;", "BEGIN") + " -- 100 %"
    apply(job_for(prisma_project(tmp_path, {"1_one": script}), url))

    assert rows(url, "SELECT f()") == [("100 %s",)]


@pytest.mark.fault(12)
def test_a_blocked_migration_names_the_blocker_and_can_be_retried(
    tmp_path: Path, make_database: Database, monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], None]
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.prisma_history.LOCK_TIMEOUT_S", 2)
    look_often(monkeypatch)
    url = make_database()
    apply(job_for(prisma_project(tmp_path, ONE), url))
    project = prisma_project(tmp_path, ONE | {"2_two": "ALTER TABLE one ADD COLUMN name text;"})
    job = job_for(project, url)

    with psycopg.connect(url, application_name="forgotten editor") as blocker:
        blocker.execute("SELECT count(*) FROM one")
        began = time.monotonic()
        with pytest.raises(OperationFailed) as caught:
            apply(job)
        took = time.monotonic() - began
        holder = blocker.info.backend_pid

    sentence = str(caught.value)
    assert f"session {holder}" in sentence
    assert "forgotten editor" in sentence
    assert "idle in transaction" in sentence
    assert "SELECT count(*) FROM one" in sentence
    assert "It was rolled back completely." in sentence
    assert "Waiting for a lock held by session" in job.text
    assert apply(job_for(project, url)) == ["2_two"]
    seen(f"with a limit of 2 s failed after {took:.1f} s, naming session, application, state and query")


def test_two_concurrent_migrations_run_one_after_the_other(
    tmp_path: Path, make_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.prisma_history.LOCK_TIMEOUT_S", 1)
    url = make_database()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(72707369)")
        with pytest.raises(OperationFailed, match="another migration of this database is running"):
            apply(job_for(prisma_project(tmp_path, ONE), url))

    assert rows(url, "SELECT to_regclass('one')") == [(None,)]


def test_a_cancelled_migration_is_rolled_back_and_pending_again(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    project = prisma_project(tmp_path, ONE | {"2_two": "CREATE TABLE two (); SELECT pg_sleep(600);"})
    job = job_for(project, url)

    def cancel_when_it_runs() -> None:
        try:
            until(lambda: is_running(url, "pg_sleep(600)"))
        finally:
            job.cancel()

    canceller = threading.Thread(target=cancel_when_it_runs)
    canceller.start()
    with pytest.raises(Cancelled):
        apply(job)
    canceller.join()

    assert rows(url, "SELECT to_regclass('two')") == [(None,)]
    assert migrator_for(project).status(job_for(project, url)).pending == ("2_two",)
    assert rows(url, "SELECT migration_name FROM _prisma_migrations") == [("1_one",)]


def test_a_lost_connection_leaves_the_result_unknown(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = prisma_project(tmp_path, {"1_one": "SELECT pg_terminate_backend(pg_backend_pid());"})

    with pytest.raises(OperationFailed, match=r"connection was lost.*may or may not have been applied"):
        apply(job_for(project, url))
    assert [failure.name for failure in migrator_for(project).status(job_for(project, url)).failed] == [
        "1_one"
    ]


def test_a_script_with_its_own_transactions_may_remain_in_part(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    project = prisma_project(tmp_path, {"1_one": "BEGIN;\nCREATE TABLE one ();\nCOMMIT;\nSELECT 1/0;"})

    with pytest.raises(OperationFailed, match=r"division by zero.*parts of it may remain"):
        apply(job_for(project, url))
    assert rows(url, "SELECT to_regclass('one') IS NULL") == [(False,)]


def test_a_script_that_leaves_a_transaction_open_fails(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = prisma_project(tmp_path, {"1_one": "BEGIN; CREATE TABLE one ();"})

    with pytest.raises(OperationFailed, match="leaves a transaction open"):
        apply(job_for(project, url))
    assert rows(url, "SELECT to_regclass('one')") == [(None,)]


def test_the_schema_of_the_url_is_used(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = prisma_project(tmp_path, ONE)
    job = job_for(project, f"{url}?schema=Clinic%20A")
    apply(job)

    tables = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    assert rows(
        url,
        f"{tables} WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 2",
    ) == [
        ("Clinic A", "_prisma_migrations"),
        ("Clinic A", "one"),
    ]
    assert migrator_for(project).status(job).up_to_date


def test_a_migration_folder_without_a_script_is_reported(tmp_path: Path, make_database: Database) -> None:
    project = prisma_project(tmp_path, ONE)
    (tmp_path / "prisma/migrations/2_two").mkdir()

    with pytest.raises(OperationFailed, match=r"2_two has no migration\.sql"):
        apply(job_for(project, make_database()))


def test_a_migrations_folder_outside_of_the_project_is_rejected(
    tmp_path: Path, make_database: Database
) -> None:
    project = prisma_project(tmp_path / "project", {})
    (tmp_path / "project/prisma/migrations").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project/prisma/migrations").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OperationFailed, match="is outside of the project"):
        apply(job_for(project, make_database()))


def test_a_database_ahead_of_the_project_is_reported(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    apply(job_for(prisma_project(tmp_path / "new", TWO), url))
    older = prisma_project(tmp_path / "old", ONE)

    status = migrator_for(older).status(job_for(older, url))

    assert status.unknown == ("2_two",)
    assert not status.up_to_date


def test_a_role_without_privileges_is_reported(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    # The owner of another database: since PostgreSQL 15, it can only connect to this one.
    other_role_url = make_database().rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
    rows(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")

    with pytest.raises(OperationFailed, match=r"Nothing was applied: permission denied for schema public"):
        apply(job_for(prisma_project(tmp_path, ONE), other_role_url))


def test_a_role_with_privileges_on_its_schema_only_can_migrate_it(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    other_role_url = make_database().rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
    role = other_role_url.split("//")[1].split(":")[0]
    rows(url, "CREATE SCHEMA clinic")
    rows(url, f"GRANT ALL ON SCHEMA clinic TO {role}")

    assert apply(job_for(prisma_project(tmp_path, ONE), f"{other_role_url}?schema=clinic")) == ["1_one"]
