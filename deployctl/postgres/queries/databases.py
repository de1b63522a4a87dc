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


@dataclass(frozen=True)
class DatabaseComment:
    """A database with its comment, "" where it has none."""

    name: str
    oid: int
    comment: str


@dataclass(frozen=True)
class DatabaseSession:
    """Somebody who is connected to a database."""

    pid: int
    role: str
    application_name: str


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


def create_like(
    connection: psycopg.Connection, name: str, *, encoding: str, collate: str, ctype: str
) -> None:
    """Create an empty database of the session's role with the encoding and sorting of another one.

    Args:
        name: taken literally.
        encoding, collate, ctype: as `find` or a manifest tells them.
    """
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
            sql.Identifier(name), sql.Literal(encoding), sql.Literal(collate), sql.Literal(ctype)
        )
    )


def drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a database that nobody is connected to; one that is not there is no error."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def rename(connection: psycopg.Connection, old: str, new: str) -> None:
    """Give a database another name. Unlike creating one, this belongs to the session's transaction.

    The server first locks the database against new sessions, then waits 5 s for the others to end.

    Raises:
        psycopg.errors.ObjectInUse: they did not.
    """
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def comment(connection: psycopg.Connection, name: str, text: str | None) -> None:
    """Set the comment of a database, or remove it."""
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))
    )


def comment_of(connection: psycopg.Connection, name: str) -> str | None:
    """The comment of a database, None where it has none or there is no such database."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        text: str | None = cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        return text


def owned(connection: psycopg.Connection, prefix: str) -> list[DatabaseComment]:
    """Databases of the session's role with their comments.

    Args:
        prefix: how their names begin.
    """
    with connection.cursor(row_factory=class_row(DatabaseComment)) as cursor:
        return cursor.execute(
            """
            SELECT datname AS name, oid::bigint AS oid,
                   coalesce(shobj_description(oid, 'pg_database'), '') AS comment
            FROM pg_database
            WHERE starts_with(datname, %s) AND pg_get_userbyid(datdba) = current_user ORDER BY datname
            """,
            (prefix,),
        ).fetchall()


def sessions(connection: psycopg.Connection, name: str) -> list[DatabaseSession]:
    """Who is connected to a database, this session left out.

    Autovacuum workers do not count: the server itself ends them when a database is renamed or dropped. They
    are told by having no role, because what kind of process it is only members of its role may see.
    """
    with connection.cursor(row_factory=class_row(DatabaseSession)) as cursor:
        return cursor.execute(
            """
            SELECT pid, coalesce(usename, '')::text AS role,
                   coalesce(application_name, '') AS application_name
            FROM pg_stat_activity
            WHERE datname = %s AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
            ORDER BY pid
            """,
            (name,),
        ).fetchall()


def end_sessions(connection: psycopg.Connection, name: str) -> None:
    """Ask the client sessions of a database to end: those that the session's role may end, leaving others."""
    connection.execute(
        """
        SELECT pg_terminate_backend(a.pid)
        FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
        WHERE a.datname = %s AND a.pid <> pg_backend_pid()
          AND (pg_has_role(current_user, r.oid, 'MEMBER')
               OR (pg_has_role(current_user, 'pg_signal_backend', 'MEMBER') AND NOT r.rolsuper))
          AND (NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
        """,
        (name,),
    )


def role_exists(connection: psycopg.Connection, name: str) -> bool:
    """Whether the server has a role of that exact name."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", (name,)).fetchone()
        )


def may_assign_owner(connection: psycopg.Connection, owner: str) -> bool:
    """Whether the session's role may make a database that belongs to another role.

    "To create a database owned by another role, you must be able to SET ROLE to that role" (CREATE
    DATABASE, 16); before version 16 membership gave that.
    """
    privilege = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT pg_has_role(current_user, %s::name, %s)", (owner, privilege)).fetchone()
        )
