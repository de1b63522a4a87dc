"""Query the server's version and settings, the session's role and encryption, and the database's identity."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class ServerFacts:
    """The server's version, recovery state, start time and address."""

    version: str
    version_number: int
    in_recovery: bool
    started_at_unix: float
    address: str | None

    @property
    def major(self) -> int:
        """Return the major version, such as 15 for 150017 (since PostgreSQL 10)."""
        return self.version_number // 10000


@dataclass(frozen=True)
class Encryption:
    """The TLS encryption of a session."""

    used: bool
    protocol: str | None
    cipher: str | None
    bits: int | None


@dataclass(frozen=True)
class RoleFacts:
    """The attributes of a role."""

    name: str
    superuser: bool
    create_database: bool
    create_role: bool
    replication: bool
    bypass_row_security: bool
    connection_limit: int


@dataclass(frozen=True)
class Identity:
    """The identity of a database, independent of its name.

    `system_identifier` is None if the role may not read it.
    """

    system_identifier: str | None
    database_oid: int
    database: str


def facts(connection: psycopg.Connection) -> ServerFacts:
    """Return the server's version, recovery state, start time and address."""
    with connection.cursor(row_factory=class_row(ServerFacts)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT current_setting('server_version') AS version,
                       current_setting('server_version_num')::int AS version_number,
                       pg_is_in_recovery() AS in_recovery,
                       extract(epoch FROM pg_postmaster_start_time())::float8 AS started_at_unix,
                       host(inet_server_addr()) AS address
                """
            ).fetchone()
        )


def encryption(connection: psycopg.Connection) -> Encryption:
    """Return the TLS encryption of this session, from `pg_stat_ssl`."""
    with connection.cursor(row_factory=class_row(Encryption)) as cursor:
        row = cursor.execute(
            """
            SELECT ssl AS used, version AS protocol, cipher, bits
            FROM pg_stat_ssl WHERE pid = pg_backend_pid()
            """
        ).fetchone()
    return row or Encryption(used=False, protocol=None, cipher=None, bits=None)


def role(connection: psycopg.Connection) -> RoleFacts:
    """Return the attributes of the session's current role."""
    with connection.cursor(row_factory=class_row(RoleFacts)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT rolname AS name, rolsuper AS superuser, rolcreatedb AS create_database,
                       rolcreaterole AS create_role, rolreplication AS replication,
                       rolbypassrls AS bypass_row_security, rolconnlimit AS connection_limit
                FROM pg_roles WHERE rolname = current_user
                """
            ).fetchone()
        )


def dangerous_roles(connection: psycopg.Connection) -> list[str]:
    """Return the roles by which the session can run programs or access files on the server.

    That is its own role if it is a superuser, and the predefined roles of which it is a member.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT rolname::text FROM pg_roles
            WHERE (rolname = current_user AND rolsuper)
               OR (rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
                   AND pg_has_role(current_user, oid, 'MEMBER') AND NOT rolsuper)
            ORDER BY rolname
            """
        ).fetchall()


def identity(connection: psycopg.Connection) -> Identity:
    """Return the permanent identity of the database.

    A restored copy has another OID; another cluster has another system identifier.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        # Some managed services revoke EXECUTE. The check avoids an error that would abort a transaction.
        permitted = cursor.execute(
            "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
        ).fetchone()
        system_identifier = (
            cursor.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
            if permitted
            else None
        )
        oid = one(
            cursor.execute(
                "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
            ).fetchone()
        )
    return Identity(system_identifier=system_identifier, database_oid=oid, database=connection.info.dbname)


def database_size(connection: psycopg.Connection) -> int:
    """Return the size of the current database on disk in bytes, including indexes."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(one(cursor.execute("SELECT pg_database_size(current_database())").fetchone()))


def latency_ms(connection: psycopg.Connection, *, samples: int = 5) -> float:
    """Return the median time of a round trip in milliseconds.

    Args:
        samples: the number of measurements.
    """
    times = []
    for _ in range(samples):
        started = time.perf_counter()
        connection.execute("SELECT 1")
        times.append(time.perf_counter() - started)
    return round(sorted(times)[len(times) // 2] * 1000, 3)


def setting(connection: psycopg.Connection, name: str) -> str | None:
    """Return a configuration parameter as text, or None if the server doesn't have it."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        value: str | None = cursor.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
        return value
