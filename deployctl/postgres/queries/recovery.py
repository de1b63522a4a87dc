"""What a server that recovered from WAL can say about it, and whether it archives its own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from deployctl.postgres.queries.rows import one


@dataclass(frozen=True)
class RecoveryState:
    """How far recovery came.

    Args:
        in_recovery: it still goes on.
        replayed_lsn: the last position replayed; None where nothing was. It stays after recovery has ended.
        last_commit_at: of the last transaction replayed, None where there was none.
        timeline: the server's; recovery that ends at a target begins a new one.
    """

    in_recovery: bool
    replayed_lsn: str | None
    last_commit_at: dt.datetime | None
    timeline: int


@dataclass(frozen=True)
class Archiving:
    """How a server archives its WAL. `library` is "" where it has none or is older than 15."""

    mode: str
    command: str
    library: str


@dataclass(frozen=True)
class DatabaseEntry:
    """A database that lets sessions in."""

    oid: int
    name: str


def recovery_state(connection: psycopg.Connection) -> RecoveryState:
    """How far the recovery came that this server started with."""
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
    """The settings of archiving; every role may read them."""
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
    """The databases of a server that let sessions in."""
    with connection.cursor(row_factory=class_row(DatabaseEntry)) as cursor:
        return cursor.execute(
            """
            SELECT oid::bigint AS oid, datname::text AS name FROM pg_database
            WHERE datallowconn ORDER BY datname
            """
        ).fetchall()
