"""Tests for the rollback operation: its steps, and the state that each failure reports."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.operations.application.project import Project
from deployctl.operations.framework.base import BackupArtefact, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds import rollback
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.rollback import Rollback
from deployctl.postgres.connection import parse_url
from tests.operations import restores
from tests.operations.projects import PRISMA_FILES, job_for, rows, write_project

ONE, TWO = "1_one", "2_two"
MIGRATIONS = {
    f"prisma/migrations/{ONE}/migration.sql": "CREATE TABLE plan (n int NOT NULL);",
    f"prisma/migrations/{TWO}/migration.sql": "CREATE TABLE half (n int);\nCOMMIT;\nSELECT 1/0;",
}
EXPECTS = "[expect.counts]\nplan = 2\nhalf = 1\n"


class Application(http.server.BaseHTTPRequestHandler):
    """An application that is healthy from the second request on."""

    status = [503, 200]

    def do_GET(self) -> None:
        self.send_response(self.status[0] if len(self.status) == 1 else self.status.pop(0))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def health() -> Iterator[str]:
    Application.status = [503, 200]
    with http.server.HTTPServer(("127.0.0.1", 0), Application) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()
        thread.join()


@pytest.fixture
def url(make_database: Callable[..., str]) -> str:
    return make_database()


def project_in(folder: Path, *, health: str = "") -> Project:
    application = f'[application]\nhealth = "{health}"\n' if health else ""
    return write_project(folder, PRISMA_FILES + EXPECTS + application, MIGRATIONS)


@pytest.fixture
def before(tmp_path: Path, url: str) -> BackupArtefact:
    """Return a backup after the first migration; then the second one failed in the middle."""
    first = {name: text for name, text in MIGRATIONS.items() if ONE in name}
    Migrate().perform(job_for(write_project(tmp_path / "old", PRISMA_FILES, first), url))
    rows(url, "INSERT INTO plan VALUES (1), (2)")
    backup = restores.back_up(parse_url(url), tmp_path)
    rows(url, "DELETE FROM plan")
    with pytest.raises(OperationFailed, match="division by zero"):
        Migrate().perform(job_for(project_in(tmp_path / "new"), url))
    return backup


def job(url: str, tmp_path: Path, backup: BackupArtefact, project: Project | None, **params: Any) -> FakeJob:
    given: dict[str, Any] = {"backup": backup.name, **params}
    return restores.job_for(Rollback, parse_url(url), tmp_path, [backup], project=project, **given)


def test_a_rollback_resolves_restores_validates_and_checks_health(
    url: str, tmp_path: Path, before: BackupArtefact, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "CHECK_EVERY_S", 0.01)
    work = job(url, tmp_path, before, project_in(tmp_path / "new", health=health), migration=TWO)

    outcome = Rollback().perform(work)
    work.close()

    assert rows(url, "SELECT count(*) FROM plan") == [(2,)]
    assert rows(url, "SELECT to_regclass('half')") == [(None,)]
    kept = parse_url(url).with_database(str(outcome.facts["kept"]))
    marked = rows(
        f"{url.rpartition('/')[0]}/{kept.dbname}",
        "SELECT migration_name FROM _prisma_migrations WHERE rolled_back_at IS NOT NULL",
    )
    assert marked == [(TWO,)]
    parts = [name.partition(":")[0] for name, _ in work.steps]
    assert list(dict.fromkeys(parts)) == [
        "Look for a failed migration",
        "Resolve",
        "Restore",
        "Validate",
        "Check http",
    ]
    assert {status for _, status in work.steps} == {"succeeded"}
    # The swap is recorded at once.
    (settled,) = work.backup_catalog.settled
    assert settled.trust == {before.name: ("hashed", "restored", "proven")}
    assert settled.database_oid == outcome.facts["database_oid"]
    assert (outcome.trust, outcome.database_oid) == ({}, None)
    # The project is newer than the restored database, which is a warning and not a failure.
    validated = outcome.facts["validated"]
    assert isinstance(validated, dict)
    assert validated["remarks"] == [f"Pending migrations: {TWO}.", validated["remarks"][1]]
    assert "has no table half" in validated["remarks"][1]
    assert outcome.facts["migration"] == TWO
    assert outcome.summary.endswith("The application is healthy.")
    assert "status 503" in work.text


def test_a_rollback_needs_the_name_of_the_failed_migration(
    url: str, tmp_path: Path, before: BackupArtefact
) -> None:
    project = project_in(tmp_path / "new")
    for named in ("", ONE):
        with pytest.raises(OperationFailed, match=f"Nothing was changed: {TWO} is recorded as failed"):
            Rollback().perform(job(url, tmp_path, before, project, migration=named))
    assert rows(url, "SELECT rolled_back_at FROM _prisma_migrations WHERE migration_name = '2_two'") == [
        (None,)
    ]
    assert restores.databases_of(parse_url(url)) == [parse_url(url).dbname]


def test_a_failed_restore_reports_the_resolved_migration(
    url: str, tmp_path: Path, before: BackupArtefact
) -> None:
    (before.path / "toc.dat").write_bytes(b"")
    with pytest.raises(
        OperationFailed, match=rf"stopped at the restore\. toc\.dat .*{TWO} is marked as rolled back"
    ):
        Rollback().perform(job(url, tmp_path, before, project_in(tmp_path / "new"), migration=TWO))
    assert rows(url, "SELECT to_regclass('half')::text") == [("half",)]


def test_a_failed_health_check_reports_the_restored_backup(
    url: str, tmp_path: Path, before: BackupArtefact, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "HEALTHY_WITHIN_S", 0.0)
    Application.status = [500]
    work = job(url, tmp_path, before, project_in(tmp_path / "new", health=health), migration=TWO)

    with pytest.raises(OperationFailed) as failed:
        Rollback().perform(work)
    work.close()

    message = str(failed.value)
    assert "The database is rolled back, but the application is not healthy." in message
    assert "status 500" in message
    name = parse_url(url).dbname
    assert re.search(rf"{name} is now backup {before.name} and in use\. .* kept as {name}_before_", message)
    assert [part.database_oid is not None for part in work.backup_catalog.settled] == [True]


def test_a_rollback_without_a_project_only_restores(url: str, tmp_path: Path, before: BackupArtefact) -> None:
    work = job(url, tmp_path, before, None)

    outcome = Rollback().perform(work)
    work.close()

    assert rows(url, "SELECT count(*) FROM plan") == [(2,)]
    assert "Not validated" in outcome.summary
    assert "The application was not checked" in outcome.summary
    with pytest.raises(OperationFailed, match="no project folder"):
        Rollback().perform(job(url, tmp_path, before, None, migration=TWO))


def test_a_missing_database_is_restored_without_checking_migrations(
    url: str, tmp_path: Path, before: BackupArtefact
) -> None:
    name = parse_url(url).dbname
    rows(f"{url.rpartition('/')[0]}/postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
    work = job(url, tmp_path, before, project_in(tmp_path / "new"))

    outcome = Rollback().perform(work)
    work.close()

    assert outcome.facts["kept"] is None
    assert rows(url, "SELECT count(*) FROM plan") == [(2,)]
    assert "can't be read, so no migration is resolved" in work.text


def test_a_failed_validation_reports_the_restored_backup(
    url: str, tmp_path: Path, before: BackupArtefact
) -> None:
    rows(url, "ALTER TABLE plan ADD CONSTRAINT few CHECK (n < 100) NOT VALID")
    unsound = restores.back_up(parse_url(url), tmp_path)
    rows(url, "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL")
    work = job(url, tmp_path, unsound, project_in(tmp_path / "new"))

    with pytest.raises(
        OperationFailed, match=r"restored, but validation failed\..*plan\.few.* is now backup"
    ):
        Rollback().perform(work)
    work.close()
