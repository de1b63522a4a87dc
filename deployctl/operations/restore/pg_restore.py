"""Restore a checked backup into an empty database with pg_restore, and compare the copy with the manifest."""

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

SHOWN = 10
PROGRESS_EVERY_S = 0.5
PROGRESS_TIMEOUT_S = 5

# pg_restore's parallel jobs lock the table that an entry belongs to. A trigger, a foreign key or a check of a
# partitioned table also locks its partitions, on which another job may be working: the two can deadlock and
# the restore fails (seen with 18.4, two jobs, a trigger on a partitioned table).
# A line of `pg_restore --list` reads `3345; 2606 16397 FK CONSTRAINT public visit visit_person_fkey owner`.
ENTRY = re.compile(r"^\d+; \d+ \d+ (?P<what>.*)$")
# These are quick, so nothing is lost by restoring them one by one. A comment may be on one of them.
QUICK = ("CHECK CONSTRAINT ", "TRIGGER ", "EVENT TRIGGER ", "COMMENT ", "SECURITY LABEL ")
# Reads both of its tables. Restored in parallel if there are no partitions to lock.
FOREIGN_KEY = "FK CONSTRAINT "
PARTITION = "TABLE ATTACH "


@dataclass(frozen=True)
class RestoreParams:
    """The parameters of every operation that restores a backup; `restore_timed` reads `jobs`."""

    backup: str = param(
        "", label="Backup", help="Its name; empty for the newest of those trusted most.", maximum=200
    )
    jobs: int = param(
        2, label="Parallel jobs", help="Tables restored at the same time.", minimum=1, maximum=32
    )


def refuse_dangerous_role(session: psycopg.Connection) -> None:
    """Refuse a role with which restored functions could run programs on the server.

    Raises:
        OperationFailed: the role has such rights; the message says what to do.
    """
    role = server.role(session)
    dangerous = server.dangerous_roles(session)
    if not dangerous:
        return
    what = "is a superuser" if role.superuser else f"is a member of {', '.join(dangerous)}"
    raise OperationFailed(
        f"Role {role.name} {what}, and what is restored with its rights could run programs on the server. "
        "Nothing was done. Have the target connect as an ordinary role that owns its database: "
        "CREATE ROLE … LOGIN CREATEDB; ALTER DATABASE … OWNER TO …; "
        "and put that role into the connection URL."
    )


def refuse_without_createdb(session: psycopg.Connection) -> None:
    """Raise OperationFailed if the role may not create databases; the message has the statement to run."""
    role = server.role(session)
    if not role.create_database:
        raise OperationFailed(
            f"Role {role.name} may not create databases, but a backup is restored into a new one. "
            "Nothing was done. A superuser gives the right with: "
            f"ALTER ROLE {quote_name(role.name)} CREATEDB;"
        )


def restore_argv(program: Path, *, archive: Path, jobs: int, use_list: Path | None = None) -> list[str]:
    """Return the arguments of pg_restore into the database that `PGDATABASE` names.

    Publications and subscriptions are not restored: a copy must neither publish nor receive changes.

    Args:
        program: pg_restore, not older than the pg_dump that wrote the dump.
        archive: a folder in directory format or a file in custom format.
        jobs: tables restored at the same time.
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
        folder, written: a checked backup and its manifest.
        into: an empty database of the target's server.
        server_version: of that server, as `server_version_num`.
        state: a sentence on the state after a failure.

    Raises:
        OperationFailed: pg_restore failed.
        ToolMissing: no installed pg_restore can read the dump.
    """
    dumped_by = int(re.split(r"\D", written.tool_version, maxsplit=1)[0])  # 18 of 18.1, of 18beta1
    tool = find_tool("pg_restore", server_major=server_version // 10000, dumped_by=dumped_by)
    job.log(f"{tool.path} {tool.version} restores {written.name} into {into}.")
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
    """Yield the list file and the number of jobs of each pass: one pass for a single job, else two."""
    if jobs == 1:
        yield None, 1
        return
    listing, parallel, sequential = (lists / name for name in ("contents", "parallel", "sequential"))
    job.execute(dump.list_argv(program, archive=archive, into=listing))
    # Names can be in any encoding; only what comes before them matters.
    parts = split_entries(listing.read_text(encoding="utf-8", errors="surrogateescape"))
    for path, entries, number in zip((parallel, sequential), parts, (jobs, 1), strict=True):
        if entries:
            path.write_text(entries, encoding="utf-8", errors="surrogateescape")
            yield path, number


def split_entries(listing: str) -> tuple[str, str]:
    """Divide a dump's table of contents, keeping its order.

    Args:
        listing: as `pg_restore --list` prints it.

    Returns:
        Two lists for `pg_restore --use-list`: entries to restore in parallel, and those to restore one by one
        afterwards.
    """
    matches = [match for line in listing.splitlines() if (match := ENTRY.match(line))]
    partitioned = any(match["what"].startswith(PARTITION) for match in matches)
    later = (*QUICK, FOREIGN_KEY) if partitioned else QUICK
    parts: tuple[list[str], list[str]] = ([], [])
    for match in matches:
        parts[match["what"].startswith(later)].append(match[0])
    return "".join(f"{line}\n" for line in parts[0]), "".join(f"{line}\n" for line in parts[1])


class RestoreProgress:
    """Reports rows restored, out of those counted for the dump, then the indexes being built.

    Rows of finished tables are in the statistics of the database, those of tables being filled in
    `pg_stat_progress_copy`. Between the two a table may be missing for a moment, so the maximum is reported.

    Args:
        job: receives the progress; pg_restore's sessions have its application name.
        session: on the database being filled, used for nothing else.
        rows: expected in total; None if they were not counted.
    """

    def __init__(self, job: Job, session: psycopg.Connection, *, rows: int | None) -> None:
        self._job, self._session, self._rows = job, session, rows
        self._done, self._next, self._blind = 0, 0.0, False

    def report(self) -> None:
        """Report, at most twice a second."""
        if self._blind or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PROGRESS_EVERY_S
        try:
            self._look()
        except psycopg.Error as error:
            self._blind = True  # the restore continues; only its progress is unknown from now on
            self._job.log(f"The server stopped reporting progress: {message_of(error)}.", level="warning")

    def finish(self) -> None:
        """Report that everything is restored."""
        if self._rows is not None:
            self._job.advance(self._rows, self._rows, unit="rows", phase="restore")

    def _look(self) -> None:
        running = progress.copies(self._session, self._job.application_name)
        builds = [] if running else progress.index_builds(self._session, self._job.application_name)
        if builds:
            unit, done, total = builds[0].measure
            phase = f"index on {builds[0].relation}: {builds[0].phase}"
            self._job.advance(done, total or None, unit=unit, phase=phase)
            return
        seen = progress.rows_inserted(self._session) + sum(copy.rows_done for copy in running)
        self._done = max(self._done, seen if self._rows is None else min(seen, self._rows))
        self._job.advance(self._done, self._rows, unit="rows", phase="restore")


@contextmanager
def _progress_of(job: Job, written: Manifest, *, into: str) -> Iterator[RestoreProgress]:
    """Observe a restore from a separate session, which is closed at the end."""
    rows = sum(count.rows for count in written.counts) if written.counted else None
    with job.connect(dbname=into, read_only=True, statement_timeout_s=PROGRESS_TIMEOUT_S) as session:
        yield RestoreProgress(job, session, rows=rows)


def restore_timed(
    job: Job, folder: Path, written: Manifest, *, into: str, session: psycopg.Connection, state: str
) -> float:
    """Run `restore` with the number of jobs in the run's `RestoreParams`, and return the seconds it took.

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
        with_digests: the content was compared, not only the number of rows.
        counted: the manifest has counts to compare with.
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
    def how(self) -> str:
        """Return a clause that says what was compared."""
        if self.with_digests:
            return "and their content is what was backed up"
        if self.counted:
            return "and their number is what was backed up (the backup has no digests)"
        return "with nothing to compare them with (the dump was made elsewhere, without counts)"

    @property
    def trust(self) -> tuple[str, ...]:
        """Return the trust levels that the restored backup has reached."""
        return (Trust.HASHED, Trust.RESTORED, *([Trust.PROVEN] if self.with_digests else []))


def compare(job: Job, session: psycopg.Connection, written: Manifest, *, state: str) -> Comparison:
    """Compare every table and the large objects of a restored copy with the manifest.

    Args:
        session: on the copy, used for nothing else afterwards.
        state: a sentence on the state after a failure.

    Raises:
        OperationFailed: they differ; the message names the tables.
    """
    with failure_on_error(job, f"The restored copy could not be compared. {state} The server said"):
        relations.disable_row_security(session)
        tables = relations.tables(session)
        stats = TableStats()
        done = iter(range(len(tables) + 1))

        def look() -> None:
            job.raise_if_cancelled()
            job.advance(next(done), len(tables), unit="tables", phase="compare")

        table_stats.collect(session, tables, stats, with_digests=written.has_digests, look=look)
    found = Comparison(len(tables), sum(stats.tables.values()), written.has_digests, written.counted)
    if not written.counted:
        job.log(f"{found.extent}, {found.how}.", level="warning")
        return found
    differences = _differences(written, [stats.of(table) for table in tables], stats)
    if differences:
        for difference in differences:
            job.log(difference, level="error")
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise OperationFailed(
            f"The restored copy is not what was backed up: {'; '.join(differences[:SHOWN])}{more}. {state}"
        )
    how = "content and number of rows" if written.has_digests else "number of rows"
    job.log(f"Compared {pluralize(len(tables), 'table')}: {how} are those of the backup.")
    return found


def _differences(written: Manifest, found: Sequence[TableCount], stats: TableStats) -> list[str]:
    expected = {(count.schema, count.table): count for count in written.counts}
    present = {(count.schema, count.table): count for count in found}
    told = [f"table {expected[key].key} is missing" for key in sorted(expected.keys() - present.keys())]
    told += [
        f"table {present[key].key} was not backed up" for key in sorted(present.keys() - expected.keys())
    ]
    for key in sorted(expected.keys() & present.keys()):
        was, is_ = expected[key], present[key]
        if was.rows != is_.rows:
            told.append(f"{was.key} has {pluralize(is_.rows, 'row')} instead of {was.rows:,}")
        elif was.digest is not None and is_.digest is not None and was.digest != is_.digest:
            told.append(f"{was.key} has the right number of rows, but other content")
    if written.has_digests and written.large_objects != stats.large_objects:
        told.append("the large objects differ")
    return told
