"""Helpers of operations that use the project of a target: its commands, tables and expected rows."""

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
    """Return the target's project.

    Raises:
        OperationFailed: the target has no project.
    """
    if job.target.project is None:
        raise OperationFailed(
            f"The target {job.target.name} has no project folder. Nothing was done. "
            "Set the folder in the target's settings."
        )
    return job.target.project


def command_text(argv: Sequence[str]) -> str:
    """Return a command for display, without the program's folder."""
    return shlex.join([PurePath(argv[0]).name, *argv[1:]])


def read_only_session(job: Job) -> psycopg.Connection:
    """Return a read-only session in the application's schema."""
    connection = job.connect(read_only=True, statement_timeout_s=COUNT_TIMEOUT_S)
    schema = job.target.connection.options.get("schema")
    if schema is not None:
        prisma.use_schema(connection, schema)
    return connection


def find_table(connection: psycopg.Connection, name: str) -> sql.Identifier:
    """Return the quoted name of a table in `deployctl.toml`, such as `Plan` or `billing.Plan`.

    Raises:
        OperationFailed: the table doesn't exist.
    """
    found = relations.find(connection, name)
    if found is None and "." in name:
        schema, _, table = name.partition(".")
        found = relations.find(connection, table, schema=schema)
    if found is None:
        raise OperationFailed(
            f"The database {connection.info.dbname} has no table {name}. Apply the migrations, or correct "
            "the name under expect in deployctl.toml (names are case-sensitive)."
        )
    return found


def count_expected(
    connection: psycopg.Connection, expected: Mapping[str, int]
) -> tuple[dict[str, int], list[str]]:
    """Count the rows of the tables in `expect.counts`.

    Returns:
        The number of rows by table, and a sentence for each difference.
    """
    found: dict[str, int] = {}
    differences: list[str] = []
    for name, rows in expected.items():
        found[name] = relations.count_rows(connection, find_table(connection, name))
        if found[name] != rows:
            differences.append(f"{name} has {pluralize(found[name], 'row')} instead of {rows}.")
    return found, differences


def count_admins(connection: psycopg.Connection, admin: AdminExpectation) -> tuple[int, list[str]]:
    """Count the rows that match `expect.admin`.

    Returns:
        The number of rows, and a sentence if there are too few.
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
    condition = ", ".join(f"{column} = {value}" for column, value in admin.where.items())
    return found, [
        f"{admin.table} has {pluralize(found, 'row')} with {condition}; expected at least {admin.at_least}."
    ]
