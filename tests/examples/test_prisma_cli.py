"""Migrating with the project's own Prisma CLI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.generate import Generate
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from deployctl.operations.kinds.resolve import Resolve
from deployctl.operations.migrations.tools.prisma import parse_status
from tests.examples.conftest import MakeProject
from tests.operations.projects import healthcare, job_for, rows

# Each call of npm and of the CLI takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(900)

Database = Callable[..., str]


def already_migrated(installed_project: MakeProject, url: str) -> None:
    """A start without the CLI, which takes seconds; test_prisma_agreement.py shows that it is the same."""
    Migrate().perform(job_for(installed_project("prisma_files"), url))


def test_the_cli_migrates_with_progress_and_reads_it_back(
    installed_project: MakeProject, make_database: Database
) -> None:
    url = make_database()
    job = job_for(installed_project("prisma"), url)

    outcome = Migrate().perform(job)

    assert outcome.facts["tool"] == "prisma"
    assert len(outcome.facts["newly_applied"]) == 6  # type: ignore[arg-type]
    assert (job.progress[-1].done, job.progress[-1].total) == (6, 6)
    assert b"All migrations have been successfully applied." in job.output
    assert MigrationStatus().perform(job).facts["pending"] == []
    assert Migrate().perform(job).facts["newly_applied"] == []


def test_the_status_names_what_is_pending(installed_project: MakeProject, make_database: Database) -> None:
    job = job_for(installed_project("prisma"), make_database())

    with pytest.raises(OperationFailed, match=r"Pending: 20250106090000_init, .*appointment_rules"):
        MigrationStatus().perform(job)


def test_a_blocked_cli_fails_at_the_lock_timeout_naming_the_session(
    installed_project: MakeProject, make_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployctl.operations.migrations.tools.prisma.LOCK_TIMEOUT_S", 2)
    url = make_database()
    project = installed_project("prisma")
    already_migrated(installed_project, url)
    later = project.folder / "prisma/migrations/20990101000000_later"
    later.mkdir()
    (later / "migration.sql").write_text('ALTER TABLE "Plan" ADD COLUMN "note" TEXT;')

    with psycopg.connect(url, application_name="forgotten editor") as blocker:
        blocker.execute('SELECT count(*) FROM "Plan"')
        with pytest.raises(OperationFailed) as caught:
            Migrate().perform(job_for(project, url))
        holder = blocker.info.backend_pid

    assert "The migration 20990101000000_later failed: it waited 2 s for a lock." in str(caught.value)
    assert f"session {holder}" in str(caught.value)
    assert "forgotten editor" in str(caught.value)


def test_the_cli_marks_a_failed_migration_as_rolled_back(
    installed_project: MakeProject, make_database: Database
) -> None:
    url = make_database()
    project = installed_project("prisma")
    later = project.folder / "prisma/migrations/20990101000000_later"
    later.mkdir()
    (later / "migration.sql").write_text("SELEC 1;")
    with pytest.raises(OperationFailed, match="20990101000000_later failed"):
        Migrate().perform(job_for(project, url))
    job = job_for(project, url, params=Resolve.parse_params({"migration": later.name}))
    with pytest.raises(OperationFailed, match="was not marked yet") as caught:
        Resolve().perform(job)
    state = str(caught.value).rsplit(" ", 1)[1].rstrip(".")

    job.params = Resolve.parse_params({"migration": later.name, "state": state})
    assert Resolve().perform(job).facts["pending"] == [later.name]

    (later / "migration.sql").write_text("SELECT 1;")
    assert Migrate().perform(job_for(project, url)).facts["newly_applied"] == [later.name]


def test_the_client_is_generated_by_the_cli_where_it_is_installed(installed_project: MakeProject) -> None:
    project = installed_project("prisma_files")

    Generate().perform(job_for(project, "postgresql://nobody@127.0.0.1:1/nowhere"))

    assert (project.folder / "generated/client/index.js").exists()
    assert (project.folder / "generated/rows.py").exists()


def test_without_node_it_says_what_to_do(
    tmp_path: Path, make_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OperationFailed, match=r"needs Node\.js, which isn't installed.*prisma_files"):
        Migrate().perform(job_for(healthcare(tmp_path, tool="prisma"), make_database()))


def test_without_npm_ci_it_says_what_to_do(tmp_path: Path, make_database: Database) -> None:
    with pytest.raises(OperationFailed, match=r"CLI isn't installed in .* Run npm ci there"):
        Migrate().perform(job_for(healthcare(tmp_path, tool="prisma"), make_database()))


def test_a_cli_that_cannot_reach_the_database_is_not_taken_for_a_status(
    installed_project: MakeProject, make_database: Database
) -> None:
    url = make_database()
    project = installed_project("prisma")
    config = project.folder / "prisma.config.ts"
    config.write_text(
        config.read_text().replace("process.env.DATABASE_URL", '"postgresql://a:b@127.0.0.1:1/c"')
    )

    with pytest.raises(
        OperationFailed, match=r"(?s)migration status could not be determined.*reach database server"
    ):
        MigrationStatus().perform(job_for(project, url))


def test_a_cli_that_looks_at_another_database_is_found_out(
    installed_project: MakeProject, make_database: Database
) -> None:
    url, other = make_database(), make_database()
    project = installed_project("prisma")
    already_migrated(installed_project, other)
    config = project.folder / "prisma.config.ts"
    config.write_text(config.read_text().replace("process.env.DATABASE_URL", f'"{other}"'))

    with pytest.raises(OperationFailed, match=r"disagree, so nothing was applied.*overrides DATABASE_URL"):
        MigrationStatus().perform(job_for(project, url))
    assert rows(url, "SELECT to_regclass('_prisma_migrations')") == [(None,)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\n\x1b[32mDatabase schema is up to date!\x1b[39m\n", (True, (), (), ())),
        ("Following migration have not yet been applied:\n1_a\n\nTo apply", (False, ("1_a",), (), ())),
        ("Following migrations have not yet been applied:\n1_a\n2_b\n", (False, ("1_a", "2_b"), (), ())),
        ("Following migration have failed:\n1_a\n\nDuring development", (False, (), ("1_a",), ())),
        (
            "The migration have not yet been applied:\n2_b\n\nThe migrations from the database are not found "
            "locally in prisma/migrations:\n2_c\n2_d",
            (False, ("2_b",), (), ("2_c", "2_d")),
        ),
    ],
)
def test_the_words_of_the_cli_are_read(text: str, expected: tuple[object, ...]) -> None:
    said = parse_status(text)

    assert said is not None
    assert (said.up_to_date, said.pending, said.failed, said.unknown) == expected


@pytest.mark.parametrize("text", ["", "Error: P1001", "Segmentation fault", "Database schema is up"])
def test_words_that_are_not_known_are_not_guessed_at(text: str) -> None:
    assert parse_status(text) is None
