"""What a dump says that it holds: pg_restore's list of it, read within limits and hardly believed."""

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

# A dump of 100,000 tables is listed with a tenth of these.
MEMORY_BYTES = 2 << 30
CPU_S = 120
LISTING_BYTES = 256 << 20

HEADER = re.compile(r";\s+(?P<name>Archive created at|[A-Za-z_ ]+:) (?P<value>\S.*)")
RELEASE = re.compile(r"\d{1,2}(\.\d{1,3}){0,2}(devel|beta\d|rc\d)?")
CREATED = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class TableOfContents:
    """What the list of a dump tells.

    Args:
        created_at: when pg_dump wrote it, as it says; never in the future.
        data_numbers: of the tables whose rows it holds; in a directory each is a file `<number>.dat`.
    """

    created_at: dt.datetime
    database: str
    compression: str
    server_version: str
    tool_version: str
    data_numbers: tuple[str, ...]


def read(job: Job, archive: Path) -> TableOfContents:
    """Have pg_restore list a dump, and read the list.

    Args:
        archive: a custom file or a folder in directory format.

    Raises:
        UploadRefused: pg_restore cannot read it.
        ToolMissing: there is no pg_restore.
    """
    tools = list(available("pg_restore"))
    if not tools:
        raise ToolMissing("pg_restore was not found. Install PostgreSQL's client programs.")
    newest = max(tools, key=lambda tool: tool.major)
    job.log(f"{newest.path} {newest.version} reads the table of contents.")
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
                f"pg_restore {newest.version} cannot read the dump: {_why(error)}."
            ) from error
        return parse(listing.read_text(encoding="utf-8", errors="replace"))


def parse(listing: str) -> TableOfContents:
    """Read what `pg_restore --list` wrote.

    Raises:
        UploadRefused: it does not say which versions wrote the dump.
    """
    said: dict[str, str] = {}
    for line in listing.splitlines():
        if not line.startswith(";"):
            break
        if match := HEADER.fullmatch(line):
            said.setdefault(match["name"].rstrip(":"), match["value"])
    return TableOfContents(
        created_at=_moment(said.get("Archive created at", "")),
        database=said.get("dbname", "")[:200],
        compression=said.get("Compression", "unknown")[:40],
        server_version=_release(said.get("Dumped from database version", "")),
        tool_version=_release(said.get("Dumped by pg_dump version", "")),
        data_numbers=tuple(dump.data_numbers(listing)),
    )


def _why(error: ProcessFailed) -> str:
    if error.completed.signal is not None or "out of memory" in error.last_words:
        return "its table of contents takes more memory, time or space than that of any database"
    return error.last_words.rstrip(".") or f"exit status {error.completed.exit_status}"


def _release(text: str) -> str:
    match = RELEASE.match(text)
    if match is None:
        raise UploadRefused("The dump does not say which versions of PostgreSQL and pg_dump it is from.")
    return match[0]


def _moment(text: str) -> dt.datetime:
    """When it was made; a dump of the future would be the newest for ever."""
    now = dt.datetime.now(dt.UTC)
    try:
        return min(dt.datetime.strptime(text, CREATED).replace(tzinfo=dt.UTC), now)
    except ValueError:
        return now
