"""Find, create, rename, comment on and drop databases, and end their sessions."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row


@dataclass(frozen=True)
class Database:
    """A database; `collate` and `ctype` are its LC_COLLATE and LC_CTYPE."""

    name: str
    oid: int
    owner: str
    encoding: str
    collate: str
    ctype: str


@dataclass(frozen=True)
class DatabaseComment:
    """A database with its comment, "" if it has none."""

    name: str
    oid: int
    comment: str


@dataclass(frozen=True)
class DatabaseSession:
    """A session on a database."""

    pid: int
    role: str
    application_name: str


def find(connection: psycopg.Connection, name: str) -> Database | None:
    """Return the database with an exact name, or None."""
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

    It is a copy of template0, the only template that can be copied with another encoding or locale
    (PostgreSQL manual, "Template Databases").

    Args:
        name: taken literally.
        owner: a role; empty for the session's role.
        encoding: such as "UTF8".
        locale: LC_COLLATE and LC_CTYPE; empty for those of template0.
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
    """Create an empty database that belongs to the session's role, with the locale of another database.

    Args:
        name: taken literally.
        encoding, collate, ctype: of the other database, from `find` or a manifest.
    """
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}").format(
            sql.Identifier(name), sql.Literal(encoding), sql.Literal(collate), sql.Literal(ctype)
        )
    )


def drop(connection: psycopg.Connection, name: str) -> None:
    """Drop a database without sessions, if it exists."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def rename(connection: psycopg.Connection, old: str, new: str) -> None:
    """Rename a database. Unlike CREATE DATABASE, this can run in a transaction.

    The server locks the database against new sessions, then waits up to 5 s for its sessions to end
    (`CountOtherDBBackends` in src/backend/storage/ipc/procarray.c).

    Raises:
        psycopg.errors.ObjectInUse: the database still has sessions.
    """
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
    )


def comment(connection: psycopg.Connection, name: str, text: str | None) -> None:
    """Set the comment of a database; None removes it."""
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(text))
    )


def comment_of(connection: psycopg.Connection, name: str) -> str | None:
    """Return the comment of a database; None if it has none or doesn't exist."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        text: str | None = cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
        return text


def owned(connection: psycopg.Connection, prefix: str) -> list[DatabaseComment]:
    """Return the databases that belong to the session's role and whose names start with a prefix."""
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
    """Return the other sessions on a database.

    Autovacuum workers are left out: the server ends them when a database is renamed or dropped. They are
    recognized by having no role, because `backend_type` is hidden from other roles.
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
    """Terminate the other sessions on a database, as far as the session's role may."""
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
    """Return True if the server has a role with this exact name."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", (name,)).fetchone()
        )


def may_assign_owner(connection: psycopg.Connection, owner: str) -> bool:
    """Return True if the session's role may create a database that belongs to another role.

    "To create a database owned by another role, you must be able to SET ROLE to that role" (CREATE DATABASE,
    version 16); before version 16, every member of a role could.
    """
    privilege = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    with connection.cursor(row_factory=scalar_row) as cursor:
        return bool(
            cursor.execute("SELECT pg_has_role(current_user, %s::name, %s)", (owner, privilege)).fetchone()
        )
