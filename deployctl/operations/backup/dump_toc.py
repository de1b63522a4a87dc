"""Read the table of contents of an untrusted dump with pg_restore, under resource limits."""

from __future__ import annotations

import datetime as dt
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deployctl.operations.backup import dump
from deployctl.operations.backup.upload_extraction import UploadRefused
from deployctl.operations.framework.base import Job, ProcessFailed
from deployctl.postgres import rlimit_exec
from deployctl.postgres.tools import ToolMissing, available

# Listing a dump of 100,000 tables takes a tenth of these.
MEMORY_BYTES = 2 << 30
CPU_S = 120
LISTING_BYTES = 256 << 20

HEADER = re.compile(r";\s+(?P<name>Archive created at|[A-Za-z_ ]+:) (?P<value>\S.*)")
RELEASE = re.compile(r"\d{1,2}(\.\d{1,3}){0,2}(devel|beta\d|rc\d)?")
CREATED = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class TableOfContents:
    """The table of contents of a dump, as the dump states it.

    Args:
        created_at: when pg_dump wrote it; never in the future.
        data_numbers: entries with a table's data; in directory format each is a file `<number>.dat`.
    """

    created_at: dt.datetime
    database: str
    compression: str
    server_version: str
    tool_version: str
    data_numbers: tuple[str, ...]


def read(job: Job, archive: Path) -> TableOfContents:
    """Return the table of contents of a dump.

    Args:
        archive: a custom file or a folder in directory format.

    Raises:
        UploadRefused: pg_restore can't read it.
        ToolMissing: pg_restore is not installed.
    """
    tools = list(available("pg_restore"))
    if not tools:
        raise ToolMissing("pg_restore was not found. Install PostgreSQL's client programs.")
    newest = max(tools, key=lambda tool: tool.major)
    job.log(f"Reading the table of contents with {newest.path} {newest.version}.")
    with tempfile.TemporaryDirectory(prefix="deployctl-") as scratch:
        listing = Path(scratch) / "contents"
        limits = [sys.executable, "-I", "-S", rlimit_exec.__file__]
        limits += [str(number) for number in (MEMORY_BYTES, CPU_S, LISTING_BYTES)]
        try:
            job.execute(
                [*limits, *dump.list_argv(newest.path, archive=archive, into=listing)], env={"TZ": "UTC"}
            )
        except ProcessFailed as error:
            raise UploadRefused(
                f"pg_restore {newest.version} can't read the dump: {_cause(error)}."
            ) from error
        return parse(listing.read_text(encoding="utf-8", errors="replace"))


def parse(listing: str) -> TableOfContents:
    """Parse the output of `pg_restore --list`.

    Raises:
        UploadRefused: the versions of PostgreSQL or pg_dump are missing.
    """
    header: dict[str, str] = {}
    for line in listing.splitlines():
        if not line.startswith(";"):
            break
        if match := HEADER.fullmatch(line):
            header.setdefault(match["name"].rstrip(":"), match["value"])
    return TableOfContents(
        created_at=_parse_time(header.get("Archive created at", "")),
        database=header.get("dbname", "")[:200],
        compression=header.get("Compression", "unknown")[:40],
        server_version=_parse_version(header.get("Dumped from database version", "")),
        tool_version=_parse_version(header.get("Dumped by pg_dump version", "")),
        data_numbers=tuple(dump.data_numbers(listing)),
    )


def _cause(error: ProcessFailed) -> str:
    if error.completed.signal is not None or "out of memory" in error.stderr_tail:
        return "its table of contents exceeds the limit of memory, time or space"
    return error.stderr_tail.rstrip(".") or f"exit status {error.completed.exit_status}"


def _parse_version(text: str) -> str:
    match = RELEASE.match(text)
    if match is None:
        raise UploadRefused("The dump doesn't state the versions of PostgreSQL and pg_dump that made it.")
    return match[0]


def _parse_time(text: str) -> dt.datetime:
    """Return the time, at most now: a dump from the future would always be the newest."""
    now = dt.datetime.now(dt.UTC)
    try:
        return min(dt.datetime.strptime(text, CREATED).replace(tzinfo=dt.UTC), now)
    except ValueError:
        return now
