"""Count and digest the rows of tables, also in the background of a dump."""

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
    """The statistics of a database's tables, filled while they are counted.

    Args:
        tables: rows by the table's oid.
        digests: of the same tables; empty if none are computed.
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
    look: Callable[[], None] = lambda: None,
) -> None:
    """Count every table and, by default, digest its content.

    Args:
        session: its settings are changed, see `digests.prepare`.
        tables: of the session's database.
        stats: filled table by table.
        with_digests: False only counts, and leaves large objects out.
        look: called before each table; may raise.
    """
    if with_digests:
        digests.prepare(session)
    for table in tables:
        look()
        if with_digests:
            content = digests.table_content(session, table.identifier)
            stats.digests[table.oid] = content.digest
            stats.tables[table.oid] = content.rows
        else:
            stats.tables[table.oid] = relations.count_rows(session, table.identifier, only=True)
    if with_digests:
        look()
        found = digests.large_objects_content(session)
        stats.large_objects = LargeObjects(found.rows, found.digest)


class _Stopped(Exception):
    """The result is not needed any more."""


@contextlib.contextmanager
def in_background(
    session: psycopg.Connection, tables: Sequence[Relation], stats: TableStats, *, with_digests: bool = True
) -> Iterator[Future[None]]:
    """Run `collect` in a thread; an exception inside the block cancels it first.

    Args:
        session: used for nothing else meanwhile; its transaction decides which rows are seen.
        tables, stats, with_digests: see `collect`.

    Yields:
        A future that is done when everything is counted.
    """
    stop = threading.Event()

    def look() -> None:
        if stop.is_set():
            raise _Stopped

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="count") as pool:
        counted = pool.submit(collect, session, tables, stats, with_digests=with_digests, look=look)
        try:
            yield counted
        except BaseException:
            stop.set()
            cancel_until_done(session, counted)
            raise
