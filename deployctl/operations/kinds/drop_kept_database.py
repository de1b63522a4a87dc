"""Drop the database that a restore has kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import psycopg
from psycopg import errors

from deployctl.operations.framework import maintenance_database
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.operations.restore import database_swap
from deployctl.postgres.queries import databases
from deployctl.postgres.queries.databases import DatabaseComment


class DropKeptDatabase(Operation):
    """Drop a database that a restore has kept, unless it is in use."""

    kind: ClassVar[str] = "drop_kept_database"
    title: ClassVar[str] = "Drop a kept database"
    help: ClassVar[str] = (
        "Drops a database that a restore kept under another name. It is found by name and by the mark that "
        "the restore left on it; it is gone for good afterwards. On production it takes a second person."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = "The database that a restore of {target} kept is dropped for good."
    consent_parameter: ClassVar[str] = "database"

    @dataclass(frozen=True)
    class Params:
        database: str = param(
            "",
            label="Kept database",
            help="Its name, such as shop_before_7. Off production it may stay empty where there is only one.",
            maximum=63,
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("Find it"):
            session = maintenance_database.connect(job)
            kept = _choose(job, database_swap.kept_databases(session, job.target.connection.dbname))
        with job.step(f"Drop {kept.name}"):
            job.raise_if_cancelled()
            _drop(job, session, kept)
        with job.step("Look at the result"):
            if databases.find(session, kept.name) is not None:
                raise OperationFailed(f"The server said that it dropped {kept.name}, but it is still there.")
        return Outcome(
            summary=f"The kept database {kept.name} was dropped.",
            facts={"database": kept.name, "database_oid": kept.oid},
        )


def _choose(job: Job, kept: list[DatabaseComment]) -> DatabaseComment:
    wanted, names = job.params.database, ", ".join(found.name for found in kept)
    if not kept:
        raise OperationFailed(
            f"No restore has kept a database of {job.target.connection.dbname}. Nothing was dropped."
        )
    if not wanted and len(kept) > 1:
        raise OperationFailed(f"Several databases are kept: {names}. Nothing was dropped. Name one.")
    chosen = [found for found in kept if wanted in ("", found.name)]
    if not chosen:
        raise OperationFailed(
            f"{wanted} is not a database that a restore has kept. Nothing was dropped. Kept are: {names}."
        )
    return chosen[0]


def _drop(job: Job, session: psycopg.Connection, kept: DatabaseComment) -> None:
    try:
        databases.drop(session, kept.name)
    except errors.ObjectInUse as error:
        raise OperationFailed(
            f"{kept.name} is in use by {database_swap.describe_sessions(session, kept.name)}. "
            "Nothing was dropped. End what is connected there, then release it again."
        ) from error
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(f"{kept.name} was not dropped: {message_of(error)}.") from error
