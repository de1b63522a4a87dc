"""Back up a database: run pg_dump, hash the files, read them back, and publish the backup."""

from __future__ import annotations

import contextlib
import errno
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg

from deployctl.operations.backup import dump, manifest, table_stats
from deployctl.operations.backup.dump_plan import Plan, lock_timeout_error, make_plan
from deployctl.operations.backup.dump_progress import DumpProgress
from deployctl.operations.backup.integrity_check import byte_progress, read_back
from deployctl.operations.backup.manifest import Manifest
from deployctl.operations.backup.table_stats import TableStats
from deployctl.operations.framework.base import (
    BackupArtefact,
    Job,
    Operation,
    OperationFailed,
    Outcome,
    ProcessFailed,
    param,
)
from deployctl.postgres.process import session_options
from deployctl.postgres.queries import snapshots
from deployctl.text import pluralize

MONITOR_TIMEOUT_S = 5
WAIT_S = 0.2


class Backup(Operation):
    """Dump the target's database into a new folder."""

    kind: ClassVar[str] = "backup"
    title: ClassVar[str] = "Back up"
    help: ClassVar[str] = (
        "Dumps the database with pg_dump, and counts and digests every table in the same snapshot. Hashes "
        "every file and reads it back before the backup is listed."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        jobs: int = param(
            2, label="Parallel jobs", help="Number of tables dumped at the same time.", minimum=1, maximum=32
        )
        digests: bool = param(
            True,
            label="Digest every table",
            help="Reads every row again; a test restore can then compare the content, not only row counts.",
        )

    def perform(self, job: Job) -> Outcome:
        started = time.monotonic()
        with _disk_errors(job):
            with job.step("Inspect the database"):
                session = job.connect(lock_timeout_s=dump.LOCK_WAIT_S)
                plan = make_plan(job, session)
            with job.target.backups.partial(plan.name) as partial:
                with job.step("Dump"):
                    stats = _dump(job, session, plan, partial.path)
                with job.step("Check the table of contents"):
                    _check_table_of_contents(job, plan, partial.path)
                with job.step("Hash the files"):
                    written = _write_manifest(job, plan, stats, partial.path)
                with job.step("Read the files back"):
                    digest = read_back(job, partial.path, written)
                with job.step("Publish"):
                    job.raise_if_cancelled()
                    path = partial.publish()
        return _outcome(written, path, digest, time.monotonic() - started)


def _dump(job: Job, session: psycopg.Connection, plan: Plan, folder: Path) -> TableStats:
    """Run pg_dump, and count the rows of the same snapshot meanwhile."""
    argv = dump.dump_argv(plan.dump_tool.path, into=folder, snapshot=plan.snapshot.id, jobs=job.params.jobs)
    stats = TableStats()
    progress = DumpProgress(
        job,
        job.connect(read_only=True, statement_timeout_s=MONITOR_TIMEOUT_S),
        tables=plan.tables,
        counts=stats.tables,
        folder=folder,
        jobs=job.params.jobs,
    )
    with table_stats.in_background(session, plan.tables, stats, with_digests=job.params.digests) as counted:

        def monitor() -> None:
            _raise_if_counting_failed(job, counted)
            progress.report()

        try:
            job.execute(
                argv,
                connection=job.target.connection,
                env=session_options(job.target.connection, session.info.server_version),
                on_output=progress.read,
                while_running=monitor,
            )
        except ProcessFailed as error:
            # If the counting session is lost, pg_dump's snapshot is gone, too; report the cause.
            _raise_if_counting_failed(job, counted)
            raise _dump_failure(job, error, progress) from error
        progress.finish()
        while not counted.done():
            job.raise_if_cancelled()
            wait([counted], timeout=WAIT_S)
        _raise_if_counting_failed(job, counted)
    snapshots.end(session)
    return stats


def _raise_if_counting_failed(job: Job, counted: Future[None]) -> None:
    error = counted.exception() if counted.done() else None
    if error is not None:
        job.raise_if_cancelled()  # a cancellation also ends the counting with an error
        raise OperationFailed(
            f"The tables could not be counted: {str(error).strip()}. The incomplete backup was removed; "
            "earlier backups are untouched. Back up again."
        ) from error


def _dump_failure(job: Job, error: ProcessFailed, progress: DumpProgress) -> OperationFailed:
    """Return the error of a failed pg_dump, with the cause if it is known."""
    if "No space left on device" in error.stderr_tail:
        return OperationFailed(_disk_full(job))
    # pg_dump's --lock-wait-timeout is a statement timeout on the server while it locks its tables.
    if "timeout" in error.stderr_tail and "LOCK TABLE" in error.stderr_tail:
        return lock_timeout_error(progress.blockers)
    return OperationFailed(
        f"{error} The incomplete backup was removed; the database and earlier backups are untouched."
    )


def _check_table_of_contents(job: Job, plan: Plan, folder: Path) -> None:
    """Check that the dump's own table of contents lists the data of every table."""
    with tempfile.TemporaryDirectory(prefix="deployctl-") as scratch:
        listing = Path(scratch) / "contents"
        job.execute(dump.list_argv(plan.list_tool.path, archive=folder, into=listing))
        dumped = dump.tables_with_data(listing.read_text(encoding="utf-8", errors="replace"))
    job.log(f"The dump contains the data of {pluralize(dumped, 'table')}.")
    if dumped < len(plan.tables):
        raise OperationFailed(
            f"The dump contains the data of {pluralize(dumped, 'table')}, but the database has "
            f"{len(plan.tables)}. The dump was removed. Perhaps a table was dropped meanwhile; back up again."
        )


def _write_manifest(job: Job, plan: Plan, stats: TableStats, folder: Path) -> Manifest:
    size = sum((folder / path).stat().st_size for path in manifest.paths_of(folder))
    files = manifest.files_of(folder, advance=byte_progress(job, size, "hash"))
    written = Manifest(
        name=plan.name,
        format="directory",
        compression=f"gzip:{dump.COMPRESSION_LEVEL}",
        tool_version=plan.dump_tool.version,
        snapshot_at=plan.snapshot.taken_at,
        source=plan.source,
        counts=tuple(stats.of(table) for table in plan.tables),
        files=files,
        large_objects=stats.large_objects,
    )
    written.write(folder)
    return written


@contextlib.contextmanager
def _disk_errors(job: Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise OperationFailed(_disk_full(job)) from error
        raise OperationFailed(
            f"The backup could not be written: {error.strerror or error}. "
            "The incomplete backup was removed; earlier backups are untouched."
        ) from error


def _disk_full(job: Job) -> str:
    return (
        f"The disk of the backup folder {job.target.backups.root} is full. The incomplete backup was "
        "removed; the database and earlier backups are untouched. Free some space, then back up again."
    )


def _outcome(written: Manifest, path: Path, digest: str, duration_s: float) -> Outcome:
    rows = sum(count.rows for count in written.counts)
    artefact = BackupArtefact(
        name=written.name,
        path=path,
        format=written.format,
        size_bytes=written.size_bytes,
        files=len(written.files),
        server_version=written.source.server_version,
        tool_version=written.tool_version,
        snapshot_at=written.snapshot_at,
        manifest_sha256=digest,
        counts={f"{count.schema}.{count.table}": count.rows for count in written.counts},
    )
    return Outcome(
        summary=(
            f"Backup {written.name}: {pluralize(len(written.counts), 'table')} with "
            f"{pluralize(rows, 'row')} in {pluralize(artefact.size_bytes, 'byte')}; every file was read back."
        ),
        facts={
            "name": written.name,
            "size_bytes": artefact.size_bytes,
            "files": artefact.files,
            "tables": len(written.counts),
            "rows": rows,
            "digests": written.has_digests,
            "snapshot_at": written.snapshot_at.isoformat(),
            "server_version": artefact.server_version,
            "tool_version": artefact.tool_version,
            "manifest_sha256": digest,
            "duration_s": round(duration_s, 3),
        },
        artefact=artefact,
    )
