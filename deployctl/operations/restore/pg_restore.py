"""Restore a backup into an empty database with pg_restore, and compare the copy with the manifest."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deployctl.operations.backup import dump, table_stats
from deployctl.operations.backup.dump import CONNECTION
from deployctl.operations.backup.manifest import Manifest, TableCount
from deployctl.operations.backup.retention import Trust
from deployctl.operations.backup.table_stats import TableStats
from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed, param
from deployctl.operations.framework.postgres_errors import failure_on_error, message_of
from deployctl.postgres.privileges import quote_name
from deployctl.postgres.process import session_options
from deployctl.postgres.queries import progress, relations, server
from deployctl.postgres.tools import find_tool
from deployctl.text import pluralize

MAX_REPORTED = 10
PROGRESS_EVERY_S = 0.5
PROGRESS_TIMEOUT_S = 5

# A parallel job of pg_restore locks the table of an entry. A trigger, a foreign key or a check constraint on
# a partitioned table also locks the partitions, which another job may be restoring: the two can deadlock,
# and the restore fails (seen with 18.4, two jobs, a trigger on a partitioned table).
# A line of `pg_restore --list` reads `3345; 2606 16397 FK CONSTRAINT public visit visit_person_fkey owner`.
ENTRY = re.compile(r"^\d+; \d+ \d+ (?P<entry>.*)$")
# These are quick, so they are restored one by one; a comment or label may belong to one of them.
QUICK = ("CHECK CONSTRAINT ", "TRIGGER ", "EVENT TRIGGER ", "COMMENT ", "SECURITY LABEL ")
# A foreign key reads two whole tables, so it is restored in parallel unless there are partitions to lock.
FOREIGN_KEY = "FK CONSTRAINT "
PARTITION = "TABLE ATTACH "


@dataclass(frozen=True)
class RestoreParams:
    """The parameters of every operation that restores a backup; `restore_timed` reads `jobs`."""

    backup: str = param(
        "",
        label="Backup",
        help="The backup's name; empty for the newest backup of the highest trust level.",
        maximum=200,
    )
    jobs: int = param(
        2, label="Parallel jobs", help="Number of tables restored at the same time.", minimum=1, maximum=32
    )


def refuse_dangerous_role(session: psycopg.Connection) -> None:
    """Raise OperationFailed if functions of the backup could run programs on the server as this role."""
    role = server.role(session)
    dangerous = server.dangerous_roles(session)
    if not dangerous:
        return
    reason = "is a superuser" if role.superuser else f"is a member of {', '.join(dangerous)}"
    raise OperationFailed(
        f"Role {role.name} {reason}, so code in the backup could run programs on the server. Nothing was "
        "changed. Create an ordinary role that owns the database "
        "(CREATE ROLE … LOGIN CREATEDB; ALTER DATABASE … OWNER TO …;), "
        "and put it into the target's connection URL."
    )


def refuse_without_createdb(session: psycopg.Connection) -> None:
    """Raise OperationFailed if the role may not create databases; the message has the statement to run."""
    role = server.role(session)
    if not role.create_database:
        raise OperationFailed(
            f"Role {role.name} can't create databases, but a backup is restored into a new one. "
            "Nothing was changed. A superuser can allow it with: "
            f"ALTER ROLE {quote_name(role.name)} CREATEDB;"
        )


def restore_argv(program: Path, *, archive: Path, jobs: int, use_list: Path | None = None) -> list[str]:
    """Return the pg_restore command for the database in `PGDATABASE`.

    Publications and subscriptions are not restored: a copy must neither publish nor receive changes.

    Args:
        program: pg_restore, not older than the pg_dump that wrote the dump.
        archive: a folder in directory format or a file in custom format.
        jobs: the number of tables to restore at the same time.
        use_list: a file that lists the entries to restore, see `split_entries`; None for all.
    """
    return [
        str(program),
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--no-password",
        f"--jobs={jobs}",
        *([f"--use-list={use_list}"] if use_list else []),
        "--verbose",
        f"--dbname={CONNECTION}",
        "--",
        str(archive),
    ]


def restore(
    job: Job, folder: Path, written: Manifest, *, into: str, server_version: int, jobs: int, state: str
) -> None:
    """Run pg_restore.

    Args:
        folder, written: a verified backup and its manifest.
        into: an empty database on the target's server.
        server_version: of that server, as `server_version_num`.
        state: a sentence about the state after a failure, for the message.

    Raises:
        OperationFailed: pg_restore failed.
        ToolMissing: no installed pg_restore can read the dump.
    """
    dumped_by = int(re.split(r"\D", written.tool_version, maxsplit=1)[0])  # 18 of 18.1, of 18beta1
    tool = find_tool("pg_restore", server_major=server_version // 10000, dumped_by=dumped_by)
    job.log(f"Restoring {written.name} into {into} with {tool.path} {tool.version}.")
    connection = job.target.connection.with_database(into)
    archive = written.archive(folder)
    with (
        tempfile.TemporaryDirectory(prefix="deployctl-") as lists,
        _progress_of(job, written, into=into) as restore_progress,
    ):
        for use_list, parallel in _passes(job, tool.path, archive, Path(lists), jobs):
            try:
                job.execute(
                    restore_argv(tool.path, archive=archive, jobs=parallel, use_list=use_list),
                    connection=connection,
                    env=session_options(connection, server_version),
                    while_running=restore_progress.report,
                )
            except ProcessFailed as error:
                raise OperationFailed(f"{str(error).rstrip('.')}. {state}") from error
        restore_progress.finish()


def _passes(
    job: Job, program: Path, archive: Path, lists: Path, jobs: int
) -> Iterator[tuple[Path | None, int]]:
    """Yield the list file and the number of jobs of each pass: one pass for a single job, otherwise two."""
    if jobs == 1:
        yield None, 1
        return
    listing, parallel, sequential = (lists / name for name in ("contents", "parallel", "sequential"))
    job.execute(dump.list_argv(program, archive=archive, into=listing))
    # Names can be in any encoding; only the part before them is parsed.
    parts = split_entries(listing.read_text(encoding="utf-8", errors="surrogateescape"))
    for path, entries, number in zip((parallel, sequential), parts, (jobs, 1), strict=True):
        if entries:
            path.write_text(entries, encoding="utf-8", errors="surrogateescape")
            yield path, number


def split_entries(listing: str) -> tuple[str, str]:
    """Split a dump's table of contents into two lists for `pg_restore --use-list`, keeping the order.

    Args:
        listing: the output of `pg_restore --list`.

    Returns:
        The entries to restore in parallel, and those to restore one by one afterwards.
    """
    matches = [match for line in listing.splitlines() if (match := ENTRY.match(line))]
    partitioned = any(match["entry"].startswith(PARTITION) for match in matches)
    later = (*QUICK, FOREIGN_KEY) if partitioned else QUICK
    parts: tuple[list[str], list[str]] = ([], [])
    for match in matches:
        parts[match["entry"].startswith(later)].append(match[0])
    return "".join(f"{line}\n" for line in parts[0]), "".join(f"{line}\n" for line in parts[1])


class RestoreProgress:
    """Reports the number of restored rows, then the progress of index builds.

    The rows of finished tables are in the database's statistics, those of tables being loaded in
    `pg_stat_progress_copy`. A table that has just been loaded may be in neither, so the count never goes
    down.

    Args:
        job: receives the progress; pg_restore's sessions have its application name.
        session: on the database being restored, used for nothing else.
        rows: the expected total; None if the manifest has no counts.
    """

    def __init__(self, job: Job, session: psycopg.Connection, *, rows: int | None) -> None:
        self._job, self._session, self._rows = job, session, rows
        self._done, self._next, self._stopped = 0, 0.0, False

    def report(self) -> None:
        """Report the progress, at most twice a second."""
        if self._stopped or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PROGRESS_EVERY_S
        try:
            self._query()
        except psycopg.Error as error:
            self._stopped = True  # the restore continues without progress
            self._job.log(f"The server stopped reporting progress: {message_of(error)}.", level="warning")

    def finish(self) -> None:
        """Report the total as restored."""
        if self._rows is not None:
            self._job.advance(self._rows, self._rows, unit="rows", phase="restore")

    def _query(self) -> None:
        running = progress.copies(self._session, self._job.application_name)
        builds = [] if running else progress.index_builds(self._session, self._job.application_name)
        if builds:
            unit, done, total = builds[0].measure
            phase = f"index on {builds[0].relation}: {builds[0].phase}"
            self._job.advance(done, total or None, unit=unit, phase=phase)
            return
        inserted = progress.rows_inserted(self._session) + sum(copy.rows_done for copy in running)
        self._done = max(self._done, inserted if self._rows is None else min(inserted, self._rows))
        self._job.advance(self._done, self._rows, unit="rows", phase="restore")


@contextmanager
def _progress_of(job: Job, written: Manifest, *, into: str) -> Iterator[RestoreProgress]:
    """Yield the progress of a restore, queried over a separate session."""
    rows = sum(count.rows for count in written.counts) if written.counted else None
    with job.connect(dbname=into, read_only=True, statement_timeout_s=PROGRESS_TIMEOUT_S) as session:
        yield RestoreProgress(job, session, rows=rows)


def restore_timed(
    job: Job, folder: Path, written: Manifest, *, into: str, session: psycopg.Connection, state: str
) -> float:
    """Run `restore` with the number of jobs in the run's `RestoreParams`, and return its duration in seconds.

    Args:
        session: any session on the target's server.
    """
    started = time.monotonic()
    restore(
        job,
        folder,
        written,
        into=into,
        server_version=session.info.server_version,
        jobs=job.params.jobs,
        state=state,
    )
    return time.monotonic() - started


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a restored copy with its manifest.

    Args:
        with_digests: True if the content was compared, not only the row counts.
        counted: True if the manifest has row counts.
    """

    tables: int
    rows: int
    with_digests: bool
    counted: bool = True

    @property
    def extent(self) -> str:
        """Return the number of tables and rows in words."""
        return f"{pluralize(self.tables, 'table')} with {pluralize(self.rows, 'row')}"

    @property
    def result(self) -> str:
        """Return a clause that says what was compared."""
        if self.with_digests:
            return "content identical to the backup"
        if self.counted:
            return "row counts identical to the backup (it has no digests)"
        return "not compared, because the dump was made elsewhere and has no row counts"

    @property
    def trust(self) -> tuple[str, ...]:
        """Return the trust levels that the backup has reached."""
        return (Trust.HASHED, Trust.RESTORED, *([Trust.PROVEN] if self.with_digests else []))


def compare(job: Job, session: psycopg.Connection, written: Manifest, *, state: str) -> Comparison:
    """Compare every table and the large objects of a restored copy with the manifest.

    Args:
        session: on the copy; its settings are changed.
        state: a sentence about the state after a failure, for the message.

    Raises:
        OperationFailed: they differ; the message names the tables.
    """
    with failure_on_error(job, f"The restored copy could not be compared. {state} The server reported"):
        relations.disable_row_security(session)
        tables = relations.tables(session)
        stats = TableStats()
        done = iter(range(len(tables) + 1))

        def look() -> None:
            job.raise_if_cancelled()
            job.advance(next(done), len(tables), unit="tables", phase="compare")

        table_stats.collect(session, tables, stats, with_digests=written.has_digests, before_each=look)
    found = Comparison(len(tables), sum(stats.tables.values()), written.has_digests, written.counted)
    if not written.counted:
        job.log(f"{found.extent}, {found.result}.", level="warning")
        return found
    differences = _differences(written, [stats.of(table) for table in tables], stats)
    if differences:
        for difference in differences:
            job.log(difference, level="error")
        more = f" and {len(differences) - MAX_REPORTED} more" if len(differences) > MAX_REPORTED else ""
        raise OperationFailed(
            "The restored copy differs from the backup: "
            f"{'; '.join(differences[:MAX_REPORTED])}{more}. {state}"
        )
    compared = "row counts and content" if written.has_digests else "row counts"
    job.log(f"Compared {pluralize(len(tables), 'table')}: {compared} match the backup.")
    return found


def _differences(written: Manifest, found: Sequence[TableCount], stats: TableStats) -> list[str]:
    expected = {(count.schema, count.table): count for count in written.counts}
    present = {(count.schema, count.table): count for count in found}
    differences = [
        f"table {expected[key].key} is missing" for key in sorted(expected.keys() - present.keys())
    ]
    differences += [
        f"table {present[key].key} was not backed up" for key in sorted(present.keys() - expected.keys())
    ]
    for key in sorted(expected.keys() & present.keys()):
        backup, copy = expected[key], present[key]
        if backup.rows != copy.rows:
            differences.append(f"{backup.key} has {pluralize(copy.rows, 'row')} instead of {backup.rows:,}")
        elif backup.digest is not None and copy.digest is not None and backup.digest != copy.digest:
            differences.append(f"{backup.key} has the right number of rows, but different content")
    if written.has_digests and written.large_objects != stats.large_objects:
        differences.append("the large objects differ")
    return differences
