"""The command lines of pg_dump and pg_restore. Pure: nothing here runs anything.

No database, host or user name ever stands in them: those travel in the environment, where libpq takes them
literally (see `postgres.process.connection_variables`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deployctl.postgres.connection import KEEPALIVES

LOCK_WAIT_S = 30
# libpq has no variables for these. It takes the rest, the name of the database too, from the environment,
# literally.
CONNECTION = " ".join(f"{name}={value}" for name, value in KEEPALIVES.items())
COMPRESSION_LEVEL = (
    1  # fastest that still notices damage: 1.07–1.15 × the size of gzip's default, 2–4 × the speed
)


def dump_argv(program: Path, *, into: Path, snapshot: str, jobs: int) -> list[str]:
    """pg_dump into a directory, one compressed file per table.

    Args:
        program: pg_dump, not older than the server.
        into: a folder that does not exist yet.
        snapshot: of `queries.snapshots`, so that counts and dump see the same rows.
        jobs: tables dumped at the same time.
    """
    return [
        str(program),
        "--format=directory",
        f"--jobs={jobs}",
        # A bare number means gzip in every version; `gzip:1` is known only from 16 on.
        f"--compress={COMPRESSION_LEVEL}",
        f"--snapshot={snapshot}",
        # A migration that holds a table must not make the backup wait for ever.
        f"--lock-wait-timeout={LOCK_WAIT_S * 1000}",
        "--no-password",
        "--verbose",
        f"--file={into}",
        f"--dbname={CONNECTION}",
    ]


def list_argv(program: Path, *, archive: Path, into: Path) -> list[str]:
    """pg_restore writing the table of contents into a file.

    Args:
        program: pg_restore, not older than the pg_dump that wrote it.
        archive: a folder in directory format or a file in custom format.
        into: the file.
    """
    # "--" ends the options: a path that begins with a dash is still a path.
    return [str(program), "--list", f"--file={into}", "--", str(archive)]


def tables_with_data(listing: str) -> int:
    """How many tables have their rows in a dump, from what `pg_restore --list` printed."""
    return sum(1 for _ in data_numbers(listing))


def data_numbers(listing: str) -> Iterator[str]:
    """The numbers of the entries that are the rows of a table, from what `pg_restore --list` printed.

    A line reads `3345; 0 16397 TABLE DATA public Plan owner`; comment lines begin with a semicolon. Line
    breaks in names are printed as spaces. In directory format the rows are in the file `3345.dat`.
    """
    for line in listing.splitlines():
        number, found, rest = line.partition("; ")
        entry = rest.split(" ", 3)
        if found and number.isdecimal() and entry[2:3] == ["TABLE"] and entry[3].startswith("DATA "):
            yield number
