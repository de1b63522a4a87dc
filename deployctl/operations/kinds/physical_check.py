"""Check that pgBackRest can back up the target's cluster and receives its WAL."""

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
    """Check pgBackRest, its stanza and the target's WAL archiving, by archiving one segment."""

    kind: ClassVar[str] = "physical_check"
    title: ClassVar[str] = "Check physical backup setup"
    help: ClassVar[str] = (
        "Checks that pgBackRest is installed and configured, that its stanza belongs to the target's "
        "cluster, and that a WAL segment of the server reaches its repository."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 1800
    physical: ClassVar[bool] = True

    def perform(self, job: Job) -> Outcome:
        with job.step("Find pgBackRest"):
            program = PgBackRest(job, engine_of(job))
        with job.step("Check the server's WAL archiving"):
            session = job.connect(read_only=True, statement_timeout_s=repository.STATEMENT_TIMEOUT_S)
            _check_archiving(job, session, program.engine.stanza)
        with job.step("Read the repository"):
            found = repository.read_own(job, program, session)
            known = repository.on_record(job, found)
            unknown = [entry.label for entry in found.entries if entry.label not in known]
            if unknown:
                job.log(f"Backups not made by deployctl, and so not on record: {', '.join(unknown)}.")
        with job.step("Archive a WAL segment"):
            program.run("check", state=STATE, on_output=OutputParser(job).read)
        return Outcome(
            summary=(
                f"pgBackRest {program.version} can back up this cluster as stanza {found.stanza}. Its WAL "
                f"arrives; the repository contains {pluralize(len(found.entries), 'backup')}."
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
            "The server doesn't archive its WAL: archive_mode is off. Nothing was changed. Set "
            f"archive_mode = on and archive_command = '{command}' in postgresql.conf, and restart the server."
        )
    if archiving.library:
        raise OperationFailed(
            f"The server archives its WAL with the library {archiving.library} and ignores archive_command. "
            f"Nothing was changed. Set archive_library = '' and archive_command = '{command}', and reload "
            "the server."
        )
    if NAME not in archiving.command:
        # It may be a script that calls pgBackRest; the next step checks that the WAL arrives.
        job.log(
            f"archive_command is {archiving.command!r}, without {NAME}; the usual command is {command!r}.",
            level="warning",
        )
