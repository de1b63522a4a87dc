"""Back up and restore a database that uses every PostgreSQL feature, of any size: `make roundtrip`.

    python -m tests.roundtrip --size 1000 --version 15

Prints the sizes and the duration of each step. The exit status is 1 if anything differs after a restore.
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
from tests.roundtrip.scenario import Scenario
from tests.versions import servers

# As in bench/backup.py. Otherwise frequent checkpoints dominate the time.
SETTINGS = {"max_wal_size": "4GB"}


def main() -> int:
    """Create the database, run the scenario and print the result."""
    arguments = read_arguments()
    found = servers.binaries(arguments.version) if arguments.version else find_postgres()
    if found is None:
        say(f"PostgreSQL {arguments.version} is not installed on this system")
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="deployctl-roundtrip-") as folder,
        servers.running(found, **SETTINGS) as server,
    ):
        scenario = Scenario(servers.ordinary_owner(server.url(), database.NAME), Path(folder), say)
        scenario.perform("createdb", CreateDatabase)
        with scenario.timed("fill"):
            extensions = database.fill(scenario.spec, arguments.size)
        say(f"PostgreSQL {found.major} with {', '.join(extensions) or 'no extensions'}")
        say(describe(scenario.spec))
        try:
            snapshot = scenario.run()
        except AssertionError as difference:
            say(f"FAILED: {difference}")
            return 1
    say(
        f"ok: {scenario.size_bytes / 1e6:,.0f} MB in the database, {scenario.dump_bytes / 1e6:,.0f} MB in "
        f"a backup; {snapshot.tables} tables and {len(snapshot.sequences)} sequences are unchanged"
    )
    return 0


def describe(spec: ConnectionSpec) -> str:
    """Return a summary of the number of tables and rows, and the largest tables."""
    with connect(spec, application_name="roundtrip") as session:
        tables = relations.tables(session)
        largest = ", ".join(f"{table.name} {table.size_bytes / 1e6:.0f} MB" for table in tables[:5])
        rows = sum(max(table.estimated_rows, 0) for table in tables)
    return f"{len(tables)} tables with {rows:,} rows; the largest: {largest}"


def read_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Back up and restore a database with every feature.")
    parser.add_argument("--size", type=int, default=1000, help="megabytes on disk (default 1000)")
    parser.add_argument(
        "--version", type=int, help="major version of the server (default: the newest installed)"
    )
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line immediately."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
