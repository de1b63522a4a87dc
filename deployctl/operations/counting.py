"""Counting rows while something else runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import psycopg

from deployctl.postgres.queries import relations
from deployctl.postgres.queries.relations import Relation


@contextlib.contextmanager
def in_background(
    session: psycopg.Connection, tables: Sequence[Relation], found: dict[int, int]
) -> Iterator[Future[None]]:
    """Count every table in a thread; on an exception inside, the counting is cancelled first.

    Args:
        session: used by nobody else meanwhile; counts as its transaction sees the tables.
        tables: what to count.
        found: filled with rows by oid.

    Yields:
        Done when all are counted.
    """
    stop = threading.Event()

    def count() -> None:
        for table in tables:
            if stop.is_set():
                return
            found[table.oid] = relations.count_rows(session, table.identifier, only=True)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="count") as pool:
        counted = pool.submit(count)
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
