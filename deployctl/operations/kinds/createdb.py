"""Create the target's database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import psycopg
from psycopg import errors

from deployctl.operations.framework import maintenance_database
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.postgres.privileges import quote_name
from deployctl.postgres.queries import databases, server
from deployctl.postgres.queries.databases import Database


class CreateDatabase(Operation):
    """Create the database that the target's connection URL names; never drop an existing one."""

    kind: ClassVar[str] = "createdb"
    title: ClassVar[str] = "Create database"
    help: ClassVar[str] = (
        "Creates the target's database from template0 with the given owner, encoding and locale. "
        "Changes nothing if the database already exists."
    )
    changes_target: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 300

    @dataclass(frozen=True)
    class Params:
        owner: str = param(
            "", label="Owner", help="The role that owns the database; empty for the connecting role."
        )
        encoding: str = param(
            "UTF8", label="Encoding", help="The character set, by its PostgreSQL name.", minimum=1
        )
        locale: str = param(
            "",
            label="Locale",
            help="The locale for sort order and character classes, such as C.UTF-8; empty for the server's.",
        )

    def perform(self, job: Job) -> Outcome:
        name, params = job.target.connection.dbname, job.params
        with job.step("Connect to a maintenance database"):
            connection = maintenance_database.connect(job)
            existing = databases.find(connection, name)
        if existing is not None:
            return _report_existing(job, existing)
        with job.step("Check privileges"):
            _check_privileges(connection, params)
        with job.step(f"Create {name}"):
            job.raise_if_cancelled()
            try:
                _create(job, connection)
            except errors.DuplicateDatabase:
                existing = databases.find(connection, name)
                if existing is not None:
                    return _report_existing(job, existing)
                raise
        with job.step("Connect to the new database"):
            created = _check_created(job, connection)
        return Outcome(
            summary=(
                f"Created database {name}: owner {created.owner}, encoding {created.encoding}, "
                f"locale {created.collate}."
            ),
            facts={"created": True, **asdict(created)},
        )


def _report_existing(job: Job, existing: Database) -> Outcome:
    params = job.params
    requested = {"owner": params.owner, "encoding": params.encoding, "collate": params.locale}
    differences = [
        f"{name} is {actual}, not {expected}"
        for name, expected in requested.items()
        if expected and not _is_same_name(actual := str(getattr(existing, name)), expected)
    ]
    for difference in differences:
        job.log(f"The existing database differs: {difference}.", level="warning")
    warning = f" It differs from the parameters: {'; '.join(differences)}." if differences else ""
    return Outcome(
        summary=(
            f"Database {existing.name} already exists (owner {existing.owner}, encoding {existing.encoding}, "
            f"locale {existing.collate}). Nothing was changed.{warning}"
        ),
        facts={"created": False, "differences": differences, **asdict(existing)},
    )


def _is_same_name(one: str, other: str) -> bool:
    """Return True if PostgreSQL treats both names as the same, such as UTF8 and utf-8."""
    return one.replace("-", "").lower() == other.replace("-", "").lower()


def _check_privileges(connection: psycopg.Connection, params: CreateDatabase.Params) -> None:
    role = server.role(connection)
    if not (role.create_database or role.superuser):
        raise OperationFailed(
            f"Role {role.name} can't create databases. Nothing was changed. "
            f"A superuser can allow it with: ALTER ROLE {quote_name(role.name)} CREATEDB;"
        )
    if not params.owner or params.owner == role.name:
        return
    if not databases.role_exists(connection, params.owner):
        raise OperationFailed(
            f"The owner {params.owner} doesn't exist. Nothing was changed. "
            f"Create the role with: CREATE ROLE {quote_name(params.owner)};"
        )
    if not databases.may_assign_owner(connection, params.owner):
        raise OperationFailed(
            f"Role {role.name} can't make {params.owner} the owner of a database. Nothing was changed. "
            "A superuser can allow it with: "
            f"GRANT {quote_name(params.owner)} TO {quote_name(role.name)};"
        )


def _create(job: Job, connection: psycopg.Connection) -> None:
    name, params = job.target.connection.dbname, job.params
    try:
        databases.create(connection, name, owner=params.owner, encoding=params.encoding, locale=params.locale)
    except errors.DuplicateDatabase:
        raise
    except psycopg.Error as error:
        job.raise_if_cancelled()
        raise OperationFailed(
            f"The server could not create {name}: {message_of(error)}. Nothing was changed. "
            "Correct the owner, encoding or locale and try again."
        ) from error


def _check_created(job: Job, maintenance: psycopg.Connection) -> Database:
    """Return the new database after checking its owner and encoding and connecting to it."""
    params = job.params
    created = databases.find(maintenance, job.target.connection.dbname)
    if created is None:
        raise OperationFailed(
            "The server reported no error, but the database doesn't exist. Check the server's log."
        )
    if not _is_same_name(created.encoding, params.encoding) or (
        params.owner and created.owner != params.owner
    ):
        raise OperationFailed(
            f"Database {created.name} was created, but with owner {created.owner} "
            f"and encoding {created.encoding}. Drop it, then try again."
        )
    server.identity(job.connect())
    return created
