"""What is set on a database as a whole, outside of it: who may connect, how many, and with which settings.

No dump of a single database holds any of it (pg_dump writes it with --create only), so a restored copy has it
only if it is carried over.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# Settings whose value is a list of quoted names. As one literal, "a, b" would become a single name
# (pg_dump does the same for this very list, `variable_is_guc_list_quote` in src/fe_utils/string_utils.c).
LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)

NO_LIMIT = -1


@dataclass(frozen=True)
class Setting:
    """A parameter that sessions of the database begin with; `role` is None where it is for every role."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True)
class Privilege:
    """A right on the database itself; `role` is None for PUBLIC."""

    role: str | None
    privilege: str
    grantable: bool


def connection_limit(connection: psycopg.Connection, name: str) -> int:
    """How many sessions a database takes at a time, NO_LIMIT for as many as the server."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(
            one(cursor.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", (name,)).fetchone())
        )


def settings(connection: psycopg.Connection, name: str) -> list[Setting]:
    """What ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET have set on a database."""
    with connection.cursor(row_factory=class_row(Setting)) as cursor:
        return cursor.execute(
            """
            SELECT CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole)::text END AS role,
                   split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
            FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            CROSS JOIN LATERAL unnest(s.setconfig) AS entry
            WHERE d.datname = %s ORDER BY role NULLS FIRST, name
            """,
            (name,),
        ).fetchall()


def privileges(connection: psycopg.Connection, name: str) -> list[Privilege] | None:
    """Who was given what on a database, its owner left out; None where it has the rights it was born with."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        untouched = cursor.execute(
            "SELECT datacl IS NULL FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
    if untouched:
        return None
    with connection.cursor(row_factory=class_row(Privilege)) as cursor:
        return cursor.execute(
            """
            SELECT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee)::text END AS role,
                   a.privilege_type AS privilege, bool_or(a.is_grantable) AS grantable
            FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) AS a
            WHERE d.datname = %s AND a.grantee <> d.datdba
            GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 2
            """,
            (name,),
        ).fetchall()


def set_connection_limit(connection: psycopg.Connection, name: str, limit: int) -> None:
    """Let a database take so many sessions at a time."""
    connection.execute(
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), sql.Literal(limit))
    )


def setting_statement(setting: Setting, name: str) -> sql.Composed:
    """The statement that sets a parameter on a database."""
    # A list is kept as it is written in SQL, names quoted where needed.
    value = sql.SQL(setting.value) if setting.name in LISTS else sql.Literal(setting.value)
    return _set(setting, name, sql.SQL("TO {}").format(value))


def shown_statement(setting: Setting, name: str) -> sql.Composed:
    """The same to read, without the value of an application's own parameter, which may be a secret."""
    if "." in setting.name:
        return _set(setting, name, sql.SQL("TO …"))
    return setting_statement(setting, name)


def apply_setting(connection: psycopg.Connection, setting: Setting, name: str) -> None:
    """Set a parameter on a database, all or nothing."""
    if setting.name not in LISTS:
        connection.execute(setting_statement(setting, name))
        return
    with connection.transaction():
        connection.execute("SELECT set_config(%s, %s, true)", (setting.name, setting.value))
        connection.execute(_set(setting, name, sql.SQL("FROM CURRENT")))


def revoke_privileges(connection: psycopg.Connection, name: str) -> None:
    """Take from everybody what a database is born with: CONNECT and TEMPORARY for PUBLIC."""
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def privilege_statement(right: Privilege, name: str) -> sql.Composed:
    """The statement that gives a right on a database."""
    return sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
        sql.SQL(right.privilege),  # a key word, as the server names it
        sql.Identifier(name),
        sql.SQL("PUBLIC") if right.role is None else sql.Identifier(right.role),
        sql.SQL(" WITH GRANT OPTION" if right.grantable else ""),
    )


def _set(setting: Setting, name: str, to: sql.Composable) -> sql.Composed:
    subject = (
        sql.SQL("ALTER DATABASE {}").format(sql.Identifier(name))
        if setting.role is None
        else sql.SQL("ALTER ROLE {} IN DATABASE {}").format(
            sql.Identifier(setting.role), sql.Identifier(name)
        )
    )
    return sql.SQL("{} SET {} {}").format(subject, sql.Identifier(*setting.name.split(".")), to)
