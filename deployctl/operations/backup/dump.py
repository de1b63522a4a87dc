"""The command lines of pg_dump and pg_restore.

Database, host and user are passed in the environment, where libpq reads them literally (see
`postgres.process.connection_variables`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deployctl.postgres.connection import KEEPALIVES

LOCK_WAIT_S = 30
# libpq has no environment variables for these settings.
CONNECTION = " ".join(f"{name}={value}" for name, value in KEEPALIVES.items())
# The fastest level with checksums: 1.07–1.15 × the size of gzip's default at 2–4 × the speed.
COMPRESSION_LEVEL = 1


def dump_argv(program: Path, *, into: Path, snapshot: str, jobs: int) -> list[str]:
    """Return the pg_dump command for a directory with a compressed file per table.

    Args:
        program: pg_dump, not older than the server.
        into: a folder that does not exist yet.
        snapshot: from `queries.snapshots`, so that counts and dump see the same rows.
        jobs: the number of tables to dump at the same time.
    """
    return [
        str(program),
        "--format=directory",
        f"--jobs={jobs}",
        # A bare number means gzip in every version; `gzip:1` needs version 16.
        f"--compress={COMPRESSION_LEVEL}",
        f"--snapshot={snapshot}",
        # A migration that locks a table must not block the backup indefinitely.
        f"--lock-wait-timeout={LOCK_WAIT_S * 1000}",
        "--no-password",
        "--verbose",
        f"--file={into}",
        f"--dbname={CONNECTION}",
    ]


def list_argv(program: Path, *, archive: Path, into: Path) -> list[str]:
    """Return the pg_restore command that writes the table of contents to a file.

    Args:
        program: pg_restore, not older than the pg_dump that wrote it.
        archive: a folder in directory format or a file in custom format.
        into: the file to write.
    """
    # "--" ends the options, because a path can begin with a dash.
    return [str(program), "--list", f"--file={into}", "--", str(archive)]


def tables_with_data(listing: str) -> int:
    """Return the number of tables with data in a dump, from the output of `pg_restore --list`."""
    return sum(1 for _ in data_numbers(listing))


def data_numbers(listing: str) -> Iterator[str]:
    """Yield the numbers of the entries with a table's data, from the output of `pg_restore --list`.

    A line reads `3345; 0 16397 TABLE DATA public Plan owner`; comment lines begin with a semicolon. Line
    breaks in names are printed as spaces. In directory format the data is in the file `3345.dat`.
    """
    for line in listing.splitlines():
        number, found, rest = line.partition("; ")
        entry = rest.split(" ", 3)
        if found and number.isdecimal() and entry[2:3] == ["TABLE"] and entry[3].startswith("DATA "):
            yield number
