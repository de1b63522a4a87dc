"""Query and set a database's own connection limit, privileges and configuration parameters.

pg_dump writes them with --create only, so they must be copied to a restored database.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one

# Parameters whose value is a list of quoted names. In a single literal, "a, b" would become one name. The
# list is that of pg_dump (`variable_is_guc_list_quote` in src/fe_utils/string_utils.c).
LIST_PARAMETERS = frozenset(
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
    """A configuration parameter of a database; `role` is None if it applies to every role."""

    role: str | None
    name: str
    value: str


@dataclass(frozen=True)
class Privilege:
    """A privilege on a database; `role` is None for PUBLIC."""

    role: str | None
    privilege: str
    grantable: bool


def connection_limit(connection: psycopg.Connection, name: str) -> int:
    """Return the maximum number of sessions of a database, or NO_LIMIT."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(
            one(cursor.execute("SELECT datconnlimit FROM pg_database WHERE datname = %s", (name,)).fetchone())
        )


def settings(connection: psycopg.Connection, name: str) -> list[Setting]:
    """Return the parameters set with ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET."""
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
    """Return the privileges on a database except the owner's; None if it has the default privileges."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        has_defaults = cursor.execute(
            "SELECT datacl IS NULL FROM pg_database WHERE datname = %s", (name,)
        ).fetchone()
    if has_defaults:
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
    """Set the maximum number of sessions of a database."""
    connection.execute(
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), sql.Literal(limit))
    )


def setting_statement(setting: Setting, name: str) -> sql.Composed:
    """Return the statement that sets a parameter of a database."""
    # The catalog stores a list in SQL syntax, with names quoted if necessary.
    value = sql.SQL(setting.value) if setting.name in LIST_PARAMETERS else sql.Literal(setting.value)
    return _set(setting, name, sql.SQL("TO {}").format(value))


def redacted_statement(setting: Setting, name: str) -> sql.Composed:
    """Return the statement for display; the value of a custom parameter is hidden, as it may be a secret."""
    if "." in setting.name:
        return _set(setting, name, sql.SQL("TO …"))
    return setting_statement(setting, name)


def apply_setting(connection: psycopg.Connection, setting: Setting, name: str) -> None:
    """Set a parameter of a database."""
    if setting.name not in LIST_PARAMETERS:
        connection.execute(setting_statement(setting, name))
        return
    with connection.transaction():
        connection.execute("SELECT set_config(%s, %s, true)", (setting.name, setting.value))
        connection.execute(_set(setting, name, sql.SQL("FROM CURRENT")))


def revoke_privileges(connection: psycopg.Connection, name: str) -> None:
    """Revoke the default privileges on a database, CONNECT and TEMPORARY, from PUBLIC."""
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def grant_statement(privilege: Privilege, name: str) -> sql.Composed:
    """Return the statement that grants a privilege on a database."""
    return sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
        sql.SQL(privilege.privilege),  # a key word from the server
        sql.Identifier(name),
        sql.SQL("PUBLIC") if privilege.role is None else sql.Identifier(privilege.role),
        sql.SQL(" WITH GRANT OPTION" if privilege.grantable else ""),
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
