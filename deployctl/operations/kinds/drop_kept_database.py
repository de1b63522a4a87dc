"""Drop a database that a restore kept under another name."""

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
    """Drop a kept database, unless it is in use."""

    kind: ClassVar[str] = "drop_kept_database"
    title: ClassVar[str] = "Drop a kept database"
    help: ClassVar[str] = (
        "Permanently deletes a database that a restore kept under another name. Requires dual approval on "
        "production."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 600
    needs_second_person: ClassVar[bool] = True
    overwrites: ClassVar[str] = "This permanently deletes the database that a restore of {target} kept."
    consent_parameter: ClassVar[str] = "database"

    @dataclass(frozen=True)
    class Params:
        database: str = param(
            "",
            label="Kept database",
            help="The database's name, such as shop_before_7. On development and staging, empty if there is "
            "only one.",
            maximum=63,
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("Find the kept database"):
            session = maintenance_database.connect(job)
            kept = _choose(job, database_swap.kept_databases(session, job.target.connection.dbname))
        with job.step(f"Drop {kept.name}"):
            job.raise_if_cancelled()
            _drop(job, session, kept)
        with job.step("Check the result"):
            if databases.find(session, kept.name) is not None:
                raise OperationFailed(
                    f"The server reported no error, but {kept.name} still exists. Check the server's log."
                )
        return Outcome(
            summary=f"Dropped the kept database {kept.name}.",
            facts={"database": kept.name, "database_oid": kept.oid},
        )


def _choose(job: Job, kept: list[DatabaseComment]) -> DatabaseComment:
    name, names = job.params.database, ", ".join(found.name for found in kept)
    if not kept:
        raise OperationFailed(
            f"Nothing was dropped: no restore kept a database of {job.target.connection.dbname}."
        )
    if not name and len(kept) > 1:
        raise OperationFailed(f"Nothing was dropped: there are several kept databases. Name one of {names}.")
    chosen = [found for found in kept if name in ("", found.name)]
    if not chosen:
        raise OperationFailed(f"Nothing was dropped: {name} is not a kept database. Kept databases: {names}.")
    return chosen[0]


def _drop(job: Job, session: psycopg.Connection, kept: DatabaseComment) -> None:
    try:
        databases.drop(session, kept.name)
    except errors.ObjectInUse as error:
        raise OperationFailed(
            f"{kept.name} is in use by {database_swap.describe_sessions(session, kept.name)}. "
            "Nothing was dropped. End these sessions, then try again."
        ) from error
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(f"{kept.name} was not dropped: {message_of(error)}.") from error
