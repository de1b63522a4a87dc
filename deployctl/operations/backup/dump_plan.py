"""Plan a dump: find the tools and tables, take the snapshot, and check privileges and disk space."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from deployctl.operations.backup import dump
from deployctl.operations.backup.manifest import Source
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.postgres.privileges import quote_name
from deployctl.postgres.queries import activity, databases, relations, server, snapshots
from deployctl.postgres.queries.activity import Blocker
from deployctl.postgres.queries.relations import Relation
from deployctl.postgres.queries.snapshots import Snapshot
from deployctl.postgres.tools import Tool, find_tool
from deployctl.text import pluralize

# gzip seldom compresses a table to less than a quarter; with less space the dump would fail.
MAX_COMPRESSION = 4
SPARE_BYTES = 16 << 20
POLL_S = 0.5
# The first version with the predefined role pg_read_all_data.
READ_ALL_FROM = 14


@dataclass(frozen=True)
class Plan:
    """The plan of a dump."""

    name: str
    dump_tool: Tool
    list_tool: Tool
    snapshot: Snapshot
    tables: list[Relation]
    source: Source


def make_plan(job: Job, session: psycopg.Connection) -> Plan:
    """Find the tools and tables, take the snapshot, and check privileges and disk space.

    Args:
        session: holds the snapshot's transaction afterwards; the snapshot ends with it.

    Raises:
        OperationFailed, ToolMissing: the backup would fail; nothing was written.
    """
    about = server.facts(session)
    dump_tool = find_tool("pg_dump", server_major=about.major)
    list_tool = find_tool("pg_restore", server_major=dump_tool.major)
    job.log(f"Server {about.version}, {dump_tool.path} {dump_tool.version}.")
    relations.disable_row_security(session)
    _check_readable(relations.tables(session, sizes=False), job.target.connection.user, about.major)
    snapshot, tables = _take_snapshot(job, session)
    identity = server.identity(session)
    database = databases.find(session, identity.database)
    if database is None:
        raise OperationFailed(
            f"The server doesn't list its database {identity.database}. Nothing was written."
        )
    _check_disk_space(job, tables)
    return Plan(
        name=backup_name(job.target.name, snapshot.taken_at, job.run_id),
        dump_tool=dump_tool,
        list_tool=list_tool,
        snapshot=snapshot,
        tables=tables,
        source=Source(
            target=job.target.name,
            database=identity.database,
            database_oid=identity.database_oid,
            system_identifier=identity.system_identifier,
            server_version=about.version,
            encoding=database.encoding,
            collate=database.collate,
            ctype=database.ctype,
        ),
    )


def backup_name(target: str, taken_at: dt.datetime, run_id: int) -> str:
    """Return a name that sorts by time and is safe as a folder: `shop-20260102T030405Z-run7`."""
    return f"{slug(target)}-{taken_at.astimezone(dt.UTC):%Y%m%dT%H%M%SZ}-run{run_id}"


def slug(target: str) -> str:
    """Return the name of a target as the prefix of a backup's name."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", target).strip("-")[:60] or "target"


def _take_snapshot(job: Job, session: psycopg.Connection) -> tuple[Snapshot, list[Relation]]:
    """Wait until every table can be read, then take the snapshot."""
    deadline = time.monotonic() + dump.LOCK_WAIT_S
    reported: list[Blocker] = []
    while holders := activity.exclusive_holders(session):
        if holders != reported:
            reported = holders
            for holder in holders:
                job.log(f"Waiting for {holder.description}.", level="warning")
        if time.monotonic() > deadline:
            raise lock_timeout_error(reported)
        job.raise_if_cancelled()
        time.sleep(POLL_S)
    listed = relations.tables(session, sizes=False)
    try:
        snapshot = snapshots.begin(session, [table.identifier for table in listed])
    except psycopg.errors.LockNotAvailable as error:
        raise lock_timeout_error(reported) from error
    except psycopg.errors.UndefinedTable as error:
        raise OperationFailed(
            "A table was dropped while the backup started. Nothing was written. Back up again."
        ) from error
    return snapshot, relations.tables(session)


def lock_timeout_error(holders: Sequence[Blocker]) -> OperationFailed:
    """Return the error of a backup that waited too long for a lock."""
    named = "; ".join(holder.description for holder in holders)
    return OperationFailed(
        f"A table was locked for more than {dump.LOCK_WAIT_S} s"
        + (f" by {named}" if named else "")
        + ". No backup was made; the database and earlier backups are untouched. "
        "Wait until that session has ended, or end it, then back up again."
    )


def _check_readable(tables: list[Relation], role: str, major: int) -> None:
    unreadable = [table.key for table in tables if not table.readable]
    if unreadable:
        shown = ", ".join(unreadable[:5]) + (", …" if len(unreadable) > 5 else "")
        raise OperationFailed(
            f"Role {role} can't read {len(unreadable)} of {pluralize(len(tables), 'table')} ({shown}), so "
            "a backup would be incomplete. Nothing was written. Allow it with: "
            + _grants(tables, role, major)
        )


def _grants(tables: list[Relation], role: str, major: int) -> str:
    """Return the statements that allow a role to read all tables, including future ones if possible."""
    to = quote_name(role)
    if major >= READ_ALL_FROM:
        return f"GRANT pg_read_all_data TO {to};"
    unreadable = [table for table in tables if not table.readable]
    schemas = sorted({table.schema for table in unreadable})
    grants = [f"GRANT USAGE ON SCHEMA {quote_name(schema)} TO {to};" for schema in schemas]
    grants += [f"GRANT SELECT ON ALL TABLES IN SCHEMA {quote_name(schema)} TO {to};" for schema in schemas]
    return " ".join(grants)


def _check_disk_space(job: Job, tables: list[Relation]) -> None:
    size = sum(table.size_bytes for table in tables)
    free = job.target.backups.free_bytes()
    least = size // MAX_COMPRESSION + SPARE_BYTES
    job.log(f"{pluralize(len(tables), 'table')} with {pluralize(size, 'byte')}; {free:,} bytes are free.")
    if free < least:
        raise OperationFailed(
            f"The backup folder {job.target.backups.root} has {free:,} bytes free; a backup of {size:,} "
            f"bytes of tables needs at least {least:,}. Nothing was written. "
            "Free some space, or configure another folder."
        )
    if free < size:
        job.log(
            "The disk space may not suffice: the backup could be larger than the free space.", level="warning"
        )
