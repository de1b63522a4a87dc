"""Query the result of a recovery from WAL, and the settings of WAL archiving."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class RecoveryState:
    """The state of a recovery.

    Args:
        in_recovery: True until recovery ends.
        replayed_lsn: the last WAL position replayed, also after the end of recovery; None if nothing was.
        last_commit_at: the time of the last commit replayed; None if there was none.
        timeline: the server's timeline ID; a recovery that ends at a recovery target starts a new one.
    """

    in_recovery: bool
    replayed_lsn: str | None
    last_commit_at: dt.datetime | None
    timeline: int


@dataclass(frozen=True)
class Archiving:
    """A server's settings of WAL archiving; `library` is "" if unset or before PostgreSQL 15."""

    mode: str
    command: str
    library: str


@dataclass(frozen=True)
class DatabaseEntry:
    """A database that allows connections."""

    oid: int
    name: str


def recovery_state(connection: psycopg.Connection) -> RecoveryState:
    """Return the state of the recovery that the server started with."""
    with connection.cursor(row_factory=class_row(RecoveryState)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT pg_is_in_recovery() AS in_recovery, pg_last_wal_replay_lsn()::text AS replayed_lsn,
                       pg_last_xact_replay_timestamp() AS last_commit_at,
                       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline
                """
            ).fetchone()
        )


def archiving(connection: psycopg.Connection) -> Archiving:
    """Return the settings of WAL archiving; every role can read them."""
    with connection.cursor(row_factory=class_row(Archiving)) as cursor:
        return one(
            cursor.execute(
                """
                SELECT current_setting('archive_mode') AS mode, current_setting('archive_command') AS command,
                       coalesce(current_setting('archive_library', true), '') AS library
                """
            ).fetchone()
        )


def databases(connection: psycopg.Connection) -> list[DatabaseEntry]:
    """Return the databases of the server that allow connections."""
    with connection.cursor(row_factory=class_row(DatabaseEntry)) as cursor:
        return cursor.execute(
            """
            SELECT oid::bigint AS oid, datname::text AS name FROM pg_database
            WHERE datallowconn ORDER BY datname
            """
        ).fetchall()
