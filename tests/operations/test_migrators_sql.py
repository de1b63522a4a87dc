"""Tests for applying numbered .sql files, each in a transaction with its record."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.migrations import migrator_for
from tests.operations.projects import job_for, look_often, rows, write_project

Database = Callable[..., str]
TOML = '[migrations]\ntool = "sql"\n'
FILES = {
    "migrations/2_second.sql": "ALTER TABLE first ADD COLUMN name text;",
    "migrations/10_tenth.sql": "INSERT INTO first (name) VALUES ('100 %');",
    "migrations/001_first.sql": "CREATE TABLE first (id int);",
    "migrations/README.md": "not a migration",
}


def apply(project: Project, url: str) -> list[str]:
    return list(migrator_for(project).apply(job_for(project, url)))


def test_files_are_applied_once_in_the_order_of_their_numbers(
    tmp_path: Path, make_database: Database
) -> None:
    url = make_database()
    project = write_project(tmp_path, TOML, FILES)
    migrator, job = migrator_for(project), job_for(project, url)

    assert migrator.status(job).pending == ("001_first.sql", "2_second.sql", "10_tenth.sql")
    assert apply(project, url) == ["001_first.sql", "2_second.sql", "10_tenth.sql"]
    assert apply(project, url) == []
    assert migrator.status(job).up_to_date
    written = {
        path: sha256(text.encode()).hexdigest() for path, text in FILES.items() if "README" not in path
    }
    assert migrator.status(job).facts["checksums"] == {
        path.removeprefix("migrations/"): digest for path, digest in written.items()
    }
    assert rows(url, "SELECT name FROM first") == [("100 %",)]


def test_a_failed_file_is_rolled_back_and_can_be_corrected(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    broken = FILES | {"migrations/2_second.sql": "CREATE TABLE second (); SELECT 1/0;"}

    with pytest.raises(
        OperationFailed, match=r"2_second\.sql failed: division by zero.*remain applied: 001_first\.sql"
    ):
        apply(write_project(tmp_path, TOML, broken), url)
    assert rows(url, "SELECT to_regclass('second')") == [(None,)]
    assert apply(write_project(tmp_path, TOML, FILES), url) == ["2_second.sql", "10_tenth.sql"]


def test_an_edited_file_is_rejected(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    apply(write_project(tmp_path, TOML, FILES), url)
    edited = write_project(tmp_path, TOML, {"migrations/001_first.sql": "CREATE TABLE first (id bigint);"})

    with pytest.raises(OperationFailed, match=r"Edited after they were applied: 001_first\.sql"):
        apply(edited, url)


def test_a_file_that_ends_its_transaction_is_reported(tmp_path: Path, make_database: Database) -> None:
    url = make_database()
    project = write_project(
        tmp_path, TOML, {"migrations/1_a.sql": "CREATE TABLE a (); COMMIT; BEGIN; SELECT 1;"}
    )

    with pytest.raises(OperationFailed, match="ends its own transaction"):
        apply(project, url)
    assert migrator_for(project).status(job_for(project, url)).pending == ("1_a.sql",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("migrations/1_again.sql", "have the same number"),
        ("migrations/later.sql", "doesn't start with a number"),
    ],
)
def test_files_without_a_unique_number_are_rejected(
    tmp_path: Path, make_database: Database, name: str, expected: str
) -> None:
    project = write_project(tmp_path, TOML, FILES | {name: "SELECT 1"})

    with pytest.raises(OperationFailed, match=expected):
        apply(project, make_database())


def test_a_blocked_file_names_the_blocker(
    tmp_path: Path, make_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.tools.sql.LOCK_TIMEOUT_S", 2)
    look_often(monkeypatch)
    url = make_database()
    apply(write_project(tmp_path, TOML, {"migrations/001_first.sql": FILES["migrations/001_first.sql"]}), url)

    with psycopg.connect(url, application_name="report") as blocker:
        blocker.execute("SELECT count(*) FROM first")
        with pytest.raises(OperationFailed, match=f"session {blocker.info.backend_pid} .*report"):
            apply(write_project(tmp_path, TOML, FILES), url)


def test_a_missing_migrations_folder_is_reported_with_the_setting(
    tmp_path: Path, make_database: Database
) -> None:
    with pytest.raises(OperationFailed, match=r"has no folder migrations\. Correct migrations\.folder"):
        apply(write_project(tmp_path, TOML), make_database())
