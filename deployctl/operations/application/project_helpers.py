"""What operations share that work for the application of a target."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import psycopg
from psycopg import sql

from deployctl.operations.application.project import AdminExpectation, Project
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.postgres.queries import prisma, relations
from deployctl.text import pluralize

COUNT_TIMEOUT_S = 300


def require_project(job: Job) -> Project:
    """The project of the target.

    Raises:
        OperationFailed: the target has none.
    """
    if job.target.project is None:
        raise OperationFailed(
            f"The target {job.target.name} has no project folder, so its application is not known. "
            "Nothing was done. Name the folder in the target."
        )
    return job.target.project


def command_text(argv: Sequence[str]) -> str:
    """A command as people read it: the program without its folder."""
    return shlex.join([PurePath(argv[0]).name, *argv[1:]])


def read_only_session(job: Job) -> psycopg.Connection:
    """A session that cannot write, in the schema that the application uses."""
    connection = job.connect(read_only=True, statement_timeout_s=COUNT_TIMEOUT_S)
    schema = job.target.connection.options.get("schema")
    if schema is not None:
        prisma.use_schema(connection, schema)
    return connection


def find_table(connection: psycopg.Connection, name: str) -> sql.Identifier:
    """A table that `deployctl.toml` names, as `Plan` or `billing.Plan`.

    Raises:
        OperationFailed: there is none.
    """
    found = relations.find(connection, name)
    if found is None and "." in name:
        schema, _, table = name.partition(".")
        found = relations.find(connection, table, schema=schema)
    if found is None:
        raise OperationFailed(
            f"There is no table {name} in the database {connection.info.dbname}. Names are exact, capitals "
            "included. Were the migrations applied, and is expect in deployctl.toml right?"
        )
    return found


def count_expected(
    connection: psycopg.Connection, expected: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Count the tables an application has expectations of.

    Returns:
        Rows by table, and a sentence for each table that has another number than expected.
    """
    found: dict[str, int] = {}
    wrong: list[str] = []
    for name, rows in expected.items():
        found[name] = relations.count_rows(connection, find_table(connection, name))
        if found[name] != rows:
            wrong.append(f"{name} has {pluralize(found[name], 'row')} instead of {rows}.")
    return found, wrong


def count_admins(connection: psycopg.Connection, admin: AdminExpectation) -> tuple[int, list[str]]:
    """Count the rows that `expect.admin` describes.

    Returns:
        How many there are, and a sentence if they are too few.
    """
    table = find_table(connection, admin.table)
    try:
        found = relations.count_where(connection, table, admin.where)
    except psycopg.errors.UndefinedColumn as error:
        raise OperationFailed(
            f"{admin.table}: {error.diag.message_primary}. Correct expect.admin.where in deployctl.toml."
        ) from None
    if found >= admin.at_least:
        return found, []
    which = ", ".join(f"{column} = {value}" for column, value in admin.where.items())
    return found, [
        f"{admin.table} has {pluralize(found, 'row')} with {which}, at least {admin.at_least} expected."
    ]
