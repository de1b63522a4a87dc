"""Databases of a server: looking one up and creating one."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row


@dataclass(frozen=True)
class Database:
    """A database. `locale` is what sorts its texts."""

    name: str
    oid: int
    owner: str
    encoding: str
    collate: str
    ctype: str


def find(connection: psycopg.Connection, name: str) -> Database | None:
    """A database by its exact name, None where there is none."""
    with connection.cursor(row_factory=class_row(Database)) as cursor:
        return cursor.execute(
            """
            SELECT d.datname AS name, d.oid::bigint AS oid, pg_get_userbyid(d.datdba)::text AS owner,
                   pg_encoding_to_char(d.encoding)::text AS encoding,
                   coalesce(d.datcollate, '')::text AS collate, coalesce(d.datctype, '')::text AS ctype
            FROM pg_database d WHERE d.datname = %s
            """,
            (name,),
        ).fetchone()


def create(connection: psycopg.Connection, name: str, *, owner: str, encoding: str, locale: str) -> None:
    """Create an empty database.

    From template0, for only it may be copied with another encoding or locale than its own, and nobody has
    put anything into it.

    Args:
        name: taken literally.
        owner: a role; empty for the session's own.
        encoding: such as "UTF8".
        locale: for sorting and character classes; empty for the server's default.
    """
    options = [sql.SQL("TEMPLATE template0 ENCODING {}").format(sql.Literal(encoding))]
    if owner:
        options.append(sql.SQL("OWNER {}").format(sql.Identifier(owner)))
    if locale:
        options.append(sql.SQL("LC_COLLATE {0} LC_CTYPE {0}").format(sql.Literal(locale)))
    connection.execute(
        sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options))
    )


def role_exists(connection: psycopg.Connection, name: str) -> bool:
    """Whether the server has a role of that exact name."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", (name,)).fetchone()
        )


def may_give_to(connection: psycopg.Connection, owner: str) -> bool:
    """Whether the session's role may make a database that belongs to another role.

    "To create a database owned by another role, you must be able to SET ROLE to that role" (CREATE
    DATABASE, 16); before version 16 membership gave that.
    """
    privilege = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT pg_has_role(current_user, %s::name, %s)", (owner, privilege)).fetchone()
        )
