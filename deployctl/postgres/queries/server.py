"""What a server is, who we are on it, and which database this is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row, scalar_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class ServerFacts:
    """The server as the session sees it."""

    version: str
    version_number: int
    in_recovery: bool
    started_at_unix: float
    address: str | None

    @property
    def major(self) -> int:
        """15 for 150017, as PostgreSQL counts since version 10."""
        return self.version_number // 10000


@dataclass(frozen=True)
class Encryption:
    """Whether the session is encrypted, and how."""

    used: bool
    protocol: str | None
    cipher: str | None
    bits: int | None


@dataclass(frozen=True)
class RoleFacts:
    """What the session's role may do."""

    name: str
    superuser: bool
    create_database: bool
    create_role: bool
    replication: bool
    bypass_row_security: bool
    connection_limit: int


@dataclass(frozen=True)
class Identity:
    """Which database this is, whatever it is called.

    `system_identifier` is None where the role may not read it.
    """

    system_identifier: str | None
    database_oid: int
    database: str


def facts(connection: psycopg.Connection) -> ServerFacts:
    """Version, recovery state and start of the server."""
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
    """TLS of this session, from `pg_stat_ssl`."""
    with connection.cursor(row_factory=class_row(Encryption)) as cursor:
        row = cursor.execute(
            """
            SELECT ssl AS used, version AS protocol, cipher, bits
            FROM pg_stat_ssl WHERE pid = pg_backend_pid()
            """
        ).fetchone()
    return row or Encryption(used=False, protocol=None, cipher=None, bits=None)


def role(connection: psycopg.Connection) -> RoleFacts:
    """The attributes of the role that this session acts as."""
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
    """What would let this session's role run programs or touch files on the server: its own, if superuser,
    and the predefined roles that it is a member of."""
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
    """The pair that names a database for good.

    A restored copy has another oid; another cluster has another identifier.
    """
    with connection.cursor(row_factory=scalar_row) as cursor:
        # Some managed services revoke it; asking first keeps the session out of a failed transaction.
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
    """Bytes the current database takes on disk, indexes included."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return int(one(cursor.execute("SELECT pg_database_size(current_database())").fetchone()))


def latency_ms(connection: psycopg.Connection, *, samples: int = 5) -> float:
    """Median time of an empty round trip in milliseconds.

    Args:
        samples: how many are taken; the median forgives one slow packet.
    """
    times = []
    for _ in range(samples):
        started = time.perf_counter()
        connection.execute("SELECT 1")
        times.append(time.perf_counter() - started)
    return round(sorted(times)[len(times) // 2] * 1000, 3)


def setting(connection: psycopg.Connection, name: str) -> str | None:
    """A server setting as text, None where the server does not know it."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        value: str | None = cursor.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
        return value
