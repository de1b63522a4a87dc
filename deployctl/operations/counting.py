"""Taking stock of tables while something else runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import psycopg

from deployctl.operations.manifest import LargeObjects, TableCount
from deployctl.postgres.queries import digests, relations
from deployctl.postgres.queries.relations import Relation


@dataclass
class Stock:
    """What a database holds. Filled while it is taken.

    Args:
        tables: rows by the table's oid.
        digests: of the same tables; stays empty where none are taken.
    """

    tables: dict[int, int] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    large_objects: LargeObjects | None = None

    def of(self, table: Relation) -> TableCount:
        """What a table holds, as a manifest keeps it."""
        return TableCount(table.schema, table.name, self.tables[table.oid], self.digests.get(table.oid))


def take(
    session: psycopg.Connection,
    tables: Sequence[Relation],
    stock: Stock,
    *,
    with_digests: bool = True,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Count every table and, unless told otherwise, digest what it holds.

    Args:
        session: its settings are changed, see `digests.prepare`.
        tables: of the session's database.
        stock: filled table by table.
        with_digests: False only counts, and leaves large objects out.
        look: called before each table; may raise.
    """
    if with_digests:
        digests.prepare(session)
    for table in tables:
        look()
        if with_digests:
            content = digests.of_table(session, table.identifier)
            stock.digests[table.oid] = content.digest
            stock.tables[table.oid] = content.rows
        else:
            stock.tables[table.oid] = relations.count_rows(session, table.identifier, only=True)
    if with_digests:
        look()
        found = digests.of_large_objects(session)
        stock.large_objects = LargeObjects(found.rows, found.digest)


class _Stopped(Exception):
    """Nobody wants to know any more."""


@contextlib.contextmanager
def in_background(
    session: psycopg.Connection, tables: Sequence[Relation], stock: Stock, *, with_digests: bool = True
) -> Iterator[Future[None]]:
    """Take stock in a thread; on an exception inside, it is cancelled first.

    Args:
        session: used by nobody else meanwhile; looks as its transaction sees the tables.
        tables, stock, with_digests: as `take` has them.

    Yields:
        Done when all is taken.
    """
    stop = threading.Event()

    def look() -> None:
        if stop.is_set():
            raise _Stopped

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="count") as pool:
        counted = pool.submit(take, session, tables, stock, with_digests=with_digests, look=look)
        try:
            yield counted
        except BaseException:
            stop.set()
            # More than once, for a cancellation that arrives between two statements is lost.
            while not counted.done():
                with contextlib.suppress(psycopg.Error):
                    session.cancel_safe(timeout=2)
                wait([counted], timeout=0.2)
            raise
