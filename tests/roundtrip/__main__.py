"""A database with everything in it, of any size, to its backup and back: `make roundtrip`.

    python -m tests.roundtrip --size 1000 --version 15

Prints how large everything is and how long each step takes. Exit status 1 when anything is not as it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from deployctl.embedded.binaries import find_postgres
from deployctl.operations.kinds.createdb import CreateDatabase
from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.queries import relations
from tests.roundtrip import database
from tests.roundtrip.journey import Journey
from tests.versions import servers

# As bench/backup.py has it; without it the server spends its time on checkpoints.
SETTINGS = {"max_wal_size": "4GB"}


def main() -> int:
    """Make it, send it on its way, tell what came of it."""
    arguments = read_arguments()
    found = servers.binaries(arguments.version) if arguments.version else find_postgres()
    if found is None:
        say(f"PostgreSQL {arguments.version} is not on this system")
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="deployctl-roundtrip-") as folder,
        servers.running(found, **SETTINGS) as server,
    ):
        journey = Journey(servers.ordinary_owner(server.url(), database.NAME), Path(folder), say)
        journey.perform("createdb", CreateDatabase)
        with journey.timed("fill"):
            extensions = database.fill(journey.spec, arguments.size)
        say(f"PostgreSQL {found.major} with {', '.join(extensions) or 'no extensions'}")
        say(what_is_in(journey.spec))
        try:
            portrait = journey.go()
        except AssertionError as difference:
            say(f"FAILED: {difference}")
            return 1
    say(
        f"ok: {journey.size_bytes / 1e6:,.0f} MB in the database, {journey.dump_bytes / 1e6:,.0f} MB in "
        f"a backup; {portrait.tables} tables and {len(portrait.counters)} sequences are what they were"
    )
    return 0


def what_is_in(spec: ConnectionSpec) -> str:
    """How many tables, rows and large objects."""
    with connect(spec, application_name="roundtrip") as session:
        tables = relations.tables(session)
        largest = ", ".join(f"{table.name} {table.size_bytes / 1e6:.0f} MB" for table in tables[:5])
        rows = sum(max(table.estimated_rows, 0) for table in tables)
    return f"{len(tables)} tables with {rows:,} rows; the largest: {largest}"


def read_arguments() -> argparse.Namespace:
    """How large, and on which version."""
    parser = argparse.ArgumentParser(description="Take a database with everything to its backup and back.")
    parser.add_argument("--size", type=int, default=1000, help="megabytes on disk (default 1000)")
    parser.add_argument("--version", type=int, help="of the server; by default the machine's newest")
    return parser.parse_args()


def say(line: str) -> None:
    """A line, at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
