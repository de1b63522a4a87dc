"""Back up the database: dump, hash, read back, then publish."""

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
from deployctl.operations.backup.dump_plan import Plan, locked, make_plan
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
    """Dump the target's database into a folder of its own."""

    kind: ClassVar[str] = "backup"
    title: ClassVar[str] = "Back up"
    help: ClassVar[str] = (
        "Dumps the database (directory format, parallel, compressed), counts and digests every table in the "
        "same snapshot, hashes every file and reads all of it back before the backup is listed."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 24 * 3600

    @dataclass(frozen=True)
    class Params:
        jobs: int = param(
            2, label="Parallel jobs", help="Tables dumped at the same time.", minimum=1, maximum=32
        )
        digests: bool = param(
            True,
            label="Digest every table",
            help="Lets a test restore prove the content, not only the number of rows; reads every row again.",
        )

    def perform(self, job: Job) -> Outcome:
        started = time.monotonic()
        with _disk_errors(job):
            with job.step("Look at the database"):
                session = job.connect(lock_timeout_s=dump.LOCK_WAIT_S)
                plan = make_plan(job, session)
            with job.target.backups.partial(plan.name) as partial:
                with job.step("Dump"):
                    stats = _dump(job, session, plan, partial.path)
                with job.step("Check the table of contents"):
                    _check_contents(job, plan, partial.path)
                with job.step("Hash every file"):
                    written = _write_manifest(job, plan, stats, partial.path)
                with job.step("Read everything back"):
                    digest = read_back(job, partial.path, written)
                with job.step("Publish"):
                    job.raise_if_cancelled()
                    path = partial.publish()
        return _outcome(written, path, digest, time.monotonic() - started)


def _dump(job: Job, session: psycopg.Connection, plan: Plan, folder: Path) -> TableStats:
    """Run pg_dump, and take stats of the same snapshot meanwhile."""
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

        def look() -> None:
            _raise_if_uncounted(job, counted)
            progress.report()

        try:
            job.execute(
                argv,
                connection=job.target.connection,
                env=session_options(job.target.connection, session.info.server_version),
                on_output=progress.read,
                while_running=look,
            )
        except ProcessFailed as error:
            # Without the session that counts, there is no snapshot for pg_dump: tell the cause.
            _raise_if_uncounted(job, counted)
            raise _explained(job, error, progress) from error
        progress.finish()
        while not counted.done():
            job.raise_if_cancelled()
            wait([counted], timeout=WAIT_S)
        _raise_if_uncounted(job, counted)
    snapshots.end(session)
    return stats


def _raise_if_uncounted(job: Job, counted: Future[None]) -> None:
    """Fail once counting has failed; a cancelled run's counting ends with an error too."""
    error = counted.exception() if counted.done() else None
    if error is not None:
        job.raise_if_cancelled()
        raise OperationFailed(
            f"The tables could not be counted: {str(error).strip()}. Without counts a restored copy could "
            "not be compared, so the half-made backup was removed. Earlier backups are untouched."
        ) from error


def _explained(job: Job, error: ProcessFailed, progress: DumpProgress) -> OperationFailed:
    """Say more than pg_dump does, where it is known."""
    after = "The half-made backup was removed; the database and earlier backups are untouched."
    if "No space left on device" in error.last_words:
        return OperationFailed(_disk_full(job))
    # pg_dump's --lock-wait-timeout is a statement timeout on the server while it locks its tables.
    if "timeout" in error.last_words and "LOCK TABLE" in error.last_words:
        return locked(progress.blockers)
    return OperationFailed(f"{error} {after}")


def _check_contents(job: Job, plan: Plan, folder: Path) -> None:
    """The dump says itself that it holds the rows of as many tables as were there."""
    with tempfile.TemporaryDirectory(prefix="deployctl-") as scratch:
        listing = Path(scratch) / "contents"
        job.execute(dump.list_argv(plan.list_tool.path, archive=folder, into=listing))
        dumped = dump.tables_with_data(listing.read_text(encoding="utf-8", errors="replace"))
    job.log(f"The dump holds the rows of {pluralize(dumped, 'table')}.")
    if dumped < len(plan.tables):
        raise OperationFailed(
            f"The dump holds the rows of {pluralize(dumped, 'table')}, but the database has "
            f"{len(plan.tables)}. It was removed. Was a table dropped meanwhile? Back up again."
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
            "What was half made was removed; earlier backups are untouched."
        ) from error


def _disk_full(job: Job) -> str:
    return (
        f"The disk of the backup folder {job.target.backups.root} is full. The half-made backup was removed; "
        "the database and earlier backups are untouched. Free some space, then back up again."
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
            f"{pluralize(rows, 'row')} in {pluralize(artefact.size_bytes, 'byte')}, every file read back."
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
