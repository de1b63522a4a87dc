"""Count and digest the rows of tables, optionally in a background thread during a dump."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg

from deployctl.operations.backup.manifest import LargeObjects, TableCount
from deployctl.postgres.connection import cancel_until_done
from deployctl.postgres.queries import digests, relations
from deployctl.postgres.queries.relations import Relation


@dataclass
class TableStats:
    """The row counts and digests of a database's tables, filled while they are counted.

    Args:
        tables: numbers of rows by the table's OID.
        digests: digests by the table's OID; empty if none are computed.
    """

    tables: dict[int, int] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    large_objects: LargeObjects | None = None

    def of(self, table: Relation) -> TableCount:
        """Return the count of a table for the manifest."""
        return TableCount(table.schema, table.name, self.tables[table.oid], self.digests.get(table.oid))


def collect(
    session: psycopg.Connection,
    tables: Sequence[Relation],
    stats: TableStats,
    *,
    with_digests: bool = True,
    before_each: Callable[[], None] = lambda: None,
) -> None:
    """Count every table and, by default, digest its content.

    Args:
        session: its settings change, see `digests.prepare`.
        tables: tables of the session's database.
        stats: filled table by table.
        with_digests: if False, count only, and skip large objects.
        before_each: called before each table; it may raise.
    """
    if with_digests:
        digests.prepare(session)
    for table in tables:
        before_each()
        if with_digests:
            content = digests.table_content(session, table.identifier)
            stats.digests[table.oid] = content.digest
            stats.tables[table.oid] = content.rows
        else:
            stats.tables[table.oid] = relations.count_rows(session, table.identifier, only=True)
    if with_digests:
        before_each()
        found = digests.large_objects_content(session)
        stats.large_objects = LargeObjects(found.rows, found.digest)


class _Stopped(Exception):
    """The counting was stopped."""


@contextlib.contextmanager
def in_background(
    session: psycopg.Connection, tables: Sequence[Relation], stats: TableStats, *, with_digests: bool = True
) -> Iterator[Future[None]]:
    """Run `collect` in a thread; cancel it if the block raises.

    Args:
        session: used for nothing else meanwhile; its transaction determines the visible rows.
        tables, stats, with_digests: see `collect`.

    Yields:
        A future that is done when all tables are counted.
    """
    stop = threading.Event()

    def raise_if_stopped() -> None:
        if stop.is_set():
            raise _Stopped

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="count") as pool:
        counted = pool.submit(
            collect, session, tables, stats, with_digests=with_digests, before_each=raise_if_stopped
        )
        try:
            yield counted
        except BaseException:
            stop.set()
            cancel_until_done(session, counted)
            raise
