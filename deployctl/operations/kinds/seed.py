"""Run the project's seed command, which inserts the data that the application needs to start."""

from __future__ import annotations

from typing import ClassVar

from deployctl.operations.application.project_helpers import (
    command_text,
    count_admins,
    count_expected,
    read_only_session,
    require_project,
)
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.text import pluralize

ADMIN_PASSWORD = "ADMIN_DEFAULT_PASSWORD"  # noqa: S105 - the secret's name, not its value


class Seed(Operation):
    """Run the project's seed command; only this program gets the administrator's password."""

    kind: ClassVar[str] = "seed"
    title: ClassVar[str] = "Seed database"
    help: ClassVar[str] = (
        "Runs the project's seed command with the target's secret ADMIN_DEFAULT_PASSWORD, then checks the "
        "row counts that deployctl.toml expects."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 1800

    def perform(self, job: Job) -> Outcome:
        project = require_project(job)
        argv = project.command("seed")
        with job.step(f"Read the secret {ADMIN_PASSWORD}"):
            password = job.secret(ADMIN_PASSWORD)
        with job.step(f"Run {command_text(argv)}"):
            job.execute(
                argv,
                cwd=project.folder,
                env={ADMIN_PASSWORD: password.reveal()},
                connection=job.target.connection,
                pass_url=True,
            )
        with (
            job.step("Count the rows"),
            failure_on_error(job, "The seed command succeeded, but its rows could not be counted"),
            read_only_session(job) as connection,
        ):
            found, wrong = count_expected(connection, project.expect.counts)
            admins: Json = None
            if project.expect.admin is not None:
                admins, too_few = count_admins(connection, project.expect.admin)
                wrong += too_few
            for table, rows in found.items():
                job.log(f"{table}: {pluralize(rows, 'row')}")
            if wrong:
                raise OperationFailed(f"The seed command succeeded, but {' '.join(wrong)}")
        return Outcome(
            summary="Seeded: "
            + (", ".join(f"{rows} {table}" for table, rows in found.items()) or "done")
            + ".",
            facts={"counts": found, "admins": admins},
        )
