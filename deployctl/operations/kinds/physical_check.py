"""Find out whether physical backups of the target can be made and would be its own."""

from __future__ import annotations

from typing import ClassVar

import psycopg

from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.operations.physical import repository
from deployctl.operations.physical.output_parser import OutputParser
from deployctl.operations.physical.pgbackrest import NAME, PgBackRest, engine_of
from deployctl.postgres.queries import recovery
from deployctl.text import pluralize

STATE = "No backup was made or removed."


class PhysicalCheck(Operation):
    """Look at pgBackRest, its stanza, and the target's archiving; have one WAL segment archived."""

    kind: ClassVar[str] = "physical_check"
    title: ClassVar[str] = "Check physical backups"
    help: ClassVar[str] = (
        "Looks whether pgBackRest is there and reads its configuration, whether its stanza is of the "
        "target's own cluster, and whether the server archives its WAL there: one segment is archived and "
        "looked for."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 1800
    physical: ClassVar[bool] = True

    def perform(self, job: Job) -> Outcome:
        with job.step("Look at pgBackRest"):
            program = PgBackRest(job, engine_of(job))
        with job.step("Look at the server's archiving"):
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            _check_archiving(job, session, program.engine.stanza)
        with job.step("Read the repository"):
            found = repository.read_own(job, program, session)
            known = repository.on_record(job, found)
            unknown = [entry.label for entry in found.entries if entry.label not in known]
            if unknown:
                job.log(f"Not on record, because deployctl did not make them: {', '.join(unknown)}.")
        with job.step("Archive a WAL segment"):
            program.run("check", state=STATE, on_output=OutputParser(job).read)
        return Outcome(
            summary=(
                f"pgBackRest {program.version} backs up this cluster as stanza {found.stanza}: its WAL "
                f"arrives, and the repository holds {pluralize(len(found.entries), 'backup')}."
            ),
            facts={
                "stanza": found.stanza,
                "tool_version": program.version,
                "system_identifier": found.system_identifier,
                "backups": len(found.entries),
                "not_on_record": unknown,
            },
        )


def _check_archiving(job: Job, session: psycopg.Connection, stanza: str) -> None:
    archiving = recovery.archiving(session)
    command = f"{NAME} --stanza={stanza} archive-push %p"
    if archiving.mode == "off":
        raise OperationFailed(
            "The server does not archive its WAL: archive_mode is off. Nothing was done. Set archive_mode = "
            f"on and archive_command = '{command}' in postgresql.conf, and restart the server."
        )
    if archiving.library:
        raise OperationFailed(
            f"The server archives its WAL by the library {archiving.library}, so that archive_command is not "
            f"used. Nothing was done. Set archive_library = '' and archive_command = '{command}', and reload "
            "the server."
        )
    if NAME not in archiving.command:
        # A script may call it; whether WAL arrives is seen in a moment.
        job.log(
            f"archive_command is {archiving.command!r}, which does not name {NAME}; usual is {command!r}.",
            level="warning",
        )
