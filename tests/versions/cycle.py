"""Run every operation on one database of a PostgreSQL server, from its creation to a restore."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Cancelled, Operation, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.analyze import Analyze
from deployctl.operations.kinds.backup import Backup
from deployctl.operations.kinds.baseline import Baseline
from deployctl.operations.kinds.connect import Connect
from deployctl.operations.kinds.createdb import CreateDatabase
from deployctl.operations.kinds.drop_kept_database import DropKeptDatabase
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from deployctl.operations.kinds.rehearse import Rehearse
from deployctl.operations.kinds.restore import Restore
from deployctl.operations.kinds.seed import Seed
from deployctl.operations.kinds.test_restore import RestoreTest
from deployctl.operations.kinds.vacuum import Vacuum
from deployctl.operations.kinds.validate import Validate
from deployctl.operations.kinds.verify import Verify
from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.queries import activity
from tests.operations.projects import ADMIN_PASSWORD, healthcare, rows, write_project
from tests.operations.restores import Record, databases_of, on_record
from tests.roundtrip import database
from tests.roundtrip.scenario import Scenario
from tests.waiting import until

PENDING = 'ALTER TABLE "Plan" ADD COLUMN "note" TEXT;'
SQL_PROJECT = {"migrations/1_first.sql": "CREATE TABLE first (id int GENERATED ALWAYS AS IDENTITY)"}
TIMEOUT_S = 60.0


@dataclass
class Cycle:
    """A database on a server. The steps are methods, called in the order of a tuple of steps below.

    Args:
        spec: of a role that may create databases; the database doesn't exist yet.
        major: expected major version of the server, such as 16.
        folder: for the project and the backups.
    """

    spec: ConnectionSpec
    major: int
    folder: Path
    kept: list[KeptBackup] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.project = healthcare(self.folder / "project")

    def perform(
        self, kind: type[Operation], *, project: Project | None = None, **params: Any
    ) -> tuple[FakeJob, Outcome]:
        """Run an operation on the target and return the job and the outcome."""
        job = self.job(kind, project=project, **params)
        try:
            return job, kind().perform(job)
        finally:
            job.close()

    def job(self, kind: type[Operation], *, project: Project | None = None, **params: Any) -> FakeJob:
        """Return a job for an operation, without starting it."""
        return FakeJob(
            self.spec,
            project or self.project,
            params=kind.parse_params(params),
            tmp_path=self.folder,
            secrets={"ADMIN_DEFAULT_PASSWORD": ADMIN_PASSWORD},
            backup_catalog=Record(self.kept),
        )

    # --- Essential steps ---------------------------------------------------------------------------

    def createdb(self) -> None:
        """Create the database."""
        assert self.perform(CreateDatabase)[1].facts["created"] is True

    def connect(self) -> None:
        """Check the version of the server."""
        facts = self.perform(Connect)[1].facts
        assert int(str(facts["server_version_number"])) // 10000 == self.major
        self.facts["server"] = facts["server_version"]

    def migrate(self) -> None:
        """Apply Prisma's migrations without Node."""
        assert self.perform(Migrate)[1].facts["pending"] == []
        assert self.perform(MigrationStatus)[1].facts["total"] == 6

    def seed(self) -> None:
        """Insert the initial rows of the application."""
        assert self.perform(Seed)[1].facts["admins"] == 1

    def validate(self) -> None:
        """Check that the database is what the application expects."""
        assert self.perform(Validate)[1].facts["orphans"] == []

    def backup(self) -> None:
        """Back up the database with a tool that is not older than the server."""
        artefact = self.perform(Backup)[1].artefact
        assert artefact is not None
        assert int(artefact.tool_version.partition(".")[0]) >= self.major
        self.facts["dumped by"] = artefact.tool_version
        self.kept.append(on_record(artefact))

    def verify(self) -> None:
        """Check that every byte of the backup is unchanged."""
        assert self.perform(Verify)[1].trust == {self.kept[-1].name: ("hashed",)}

    def test_restore(self) -> None:
        """Run a test restore and compare its content with the backup."""
        assert self.perform(RestoreTest)[1].facts["content_compared"] is True
        assert databases_of(self.spec) == [self.spec.dbname]

    def restore(self) -> None:
        """Restore the backup, which reverts later changes and keeps the changed database."""
        rows(self.spec.url, 'DELETE FROM "PackageTest"')
        facts = self.perform(Restore)[1].facts
        assert rows(self.spec.url, 'SELECT count(*) > 0 FROM "PackageTest"') == [(True,)]
        kept = self.spec.with_database(str(facts["kept"]))
        assert rows(kept.url, 'SELECT count(*) FROM "PackageTest"') == [(0,)]

    def release(self) -> None:
        """Drop the database that the restore kept."""
        self.perform(DropKeptDatabase)
        assert databases_of(self.spec) == [self.spec.dbname]

    # --- Other operations --------------------------------------------------------------------------

    def migrate_sql(self) -> None:
        """Apply plain SQL files to another database."""
        folder = self.folder / "plain"
        other = Cycle(self.spec.with_database(f"{self.spec.dbname} plain"), self.major, folder)
        project = write_project(folder / "files", '[migrations]\ntool = "sql"\n', SQL_PROJECT)
        other.createdb()
        assert other.perform(Migrate, project=project)[1].facts["newly_applied"] == ["1_first.sql"]
        with connect(self.spec.with_database("postgres"), application_name="test") as session:
            session.execute(
                psycopg.sql.SQL("DROP DATABASE {}").format(psycopg.sql.Identifier(other.spec.dbname))
            )

    def rehearse(self) -> None:
        """Rehearse a pending migration on a copy of the database."""
        self._write_pending_migration()
        facts: Mapping[str, Any] = self.perform(Rehearse)[1].facts
        assert len(facts["applied"]) == 1
        assert databases_of(self.spec) == [self.spec.dbname]

    def cancel(self) -> None:
        """Cancel a migration that waits for a lock, after finding the session that holds it."""
        job = self.job(Migrate)
        errors: list[BaseException] = []

        def migrate() -> None:
            try:
                Migrate().perform(job)
            except BaseException as error:  # noqa: BLE001 - checked below
                errors.append(error)

        thread = threading.Thread(target=migrate)
        with (
            psycopg.connect(self.spec.url, application_name="forgotten editor") as editor,
            connect(self.spec, application_name="test") as watch,
        ):
            editor.execute('SELECT count(*) FROM "Plan"')
            thread.start()
            until(lambda: activity.blockers_of_named(watch, job.application_name))
            (blocker, *_) = activity.blockers_of_named(watch, job.application_name)
            job.cancel()
            thread.join(TIMEOUT_S)
            assert (blocker.pid, blocker.application_name) == (editor.info.backend_pid, "forgotten editor")
            job.close()
            assert activity.terminate_named(watch, job.application_name) == []
        assert [type(error) for error in errors] == [Cancelled]

    def analyze(self) -> None:
        """Collect statistics for every table."""
        assert "public.Plan" in self.perform(Analyze)[1].facts["tables"]  # type: ignore[operator]

    def vacuum(self) -> None:
        """Reclaim the space of dead rows."""
        assert self.perform(Vacuum, truncate=True)[1].facts["dead_rows_after"] == 0

    def baseline(self) -> None:
        """Measure the activity and the size of the database."""
        facts: Mapping[str, Any] = self.perform(Baseline, seconds=1)[1].facts
        assert facts["sizes"]["database_bytes"] > 0

    def all_features(self) -> None:
        """Restore and roll back a database that uses every feature of this version."""

        folder = self.folder / "all features"

        other = Cycle(self.spec.with_database(database.NAME), self.major, folder)
        other.createdb()
        database.fill(other.spec, megabytes=2)
        Scenario(other.spec, folder).run()

    def _write_pending_migration(self) -> None:
        folder = self.project.folder / "prisma" / "migrations" / "20990101000000_note"
        folder.mkdir()
        (folder / "migration.sql").write_text(PENDING)


Step = Callable[[Cycle], None]
ESSENTIAL_STEPS: tuple[Step, ...] = (
    Cycle.createdb,
    Cycle.connect,
    Cycle.migrate,
    Cycle.seed,
    Cycle.validate,
    Cycle.backup,
    Cycle.verify,
    Cycle.test_restore,
    Cycle.restore,
    Cycle.release,
)
ALL_STEPS: tuple[Step, ...] = (
    *ESSENTIAL_STEPS,
    Cycle.baseline,
    Cycle.analyze,
    Cycle.vacuum,
    Cycle.migrate_sql,
    Cycle.rehearse,
    Cycle.cancel,
    Cycle.all_features,
)
