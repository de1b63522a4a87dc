"""Diagnose a target after a run lost its worker, for the person who decides the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.operations.restore import database_swap, scratch_database
from deployctl.postgres.queries import activity, databases
from deployctl.runs.execution.sessions import maintenance_session
from deployctl.runs.models import Run

STATEMENT_TIMEOUT_S = 2
WITHIN_S = 15.0
MIGRATION_STATUS = "migration_status"


@dataclass(frozen=True)
class Diagnostics:
    """The state of a target after a run was lost.

    Args:
        database: a sentence about the target's database, by name and oid.
        sessions: the process ids of the run's remaining sessions.
        kept: the databases that restores have kept.
        scratch: the scratch databases of unfinished restores.
        status: the newest migration status since the run was lost.
        problem: the reason if the target could not be queried, else "".
    """

    database: str = ""
    sessions: Sequence[int] = ()
    kept: Sequence[str] = ()
    scratch: Sequence[str] = ()
    status: Run | None = None
    problem: str = ""


def diagnose(run: Run) -> Diagnostics:
    """Query the target. Never raises; `problem` says why the target could not be queried."""
    later = Run.objects.filter(target=run.target_id, kind=MIGRATION_STATUS, requested_at__gte=run.finished_at)
    status = later.first()
    try:
        spec = run.target.spec()
        with maintenance_session(
            spec,
            within_s=WITHIN_S,
            application_name="deployctl diagnostics",
            statement_timeout_s=STATEMENT_TIMEOUT_S,
            read_only=True,
        ) as session:
            return Diagnostics(
                database=_database(session, run, spec.dbname),
                sessions=activity.pids_named(session, run.application_name_prefix),
                kept=[kept.name for kept in database_swap.kept_databases(session, spec.dbname)],
                scratch=[database.name for database in scratch_database.leftovers(session)],
                status=status,
            )
    except DeployctlError as error:
        return Diagnostics(status=status, problem=error.message)
    except psycopg.Error as error:
        return Diagnostics(status=status, problem=f"PostgreSQL reported: {message_of(error)}.")


def _database(session: psycopg.Connection, run: Run, name: str) -> str:
    database = databases.find(session, name)
    if database is None:
        return f"The database {name} doesn't exist."
    known = run.target.database_oid
    if known is None:
        return f"The database {name} exists (OID {database.oid})."
    if known == database.oid:
        return f"The database {name} exists and is the same as before (OID {database.oid})."
    return (
        f"The database {name} exists but isn't the same as before: its OID is {database.oid} instead of "
        f"{known}."
    )
