"""Failures of the operation “Back up”: an incomplete backup is never listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from deployctl.operations.backup import dump, dump_progress, manifest
from deployctl.operations.backup.manifest import Damaged
from deployctl.operations.framework.base import Cancelled, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.backup import Backup
from deployctl.postgres import tools
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import activity, progress
from deployctl.postgres.tools import ToolMissing
from deployctl.storage import LocalFolder
from tests.large import make_large
from tests.waiting import until


@pytest.fixture
def url(make_database: Callable[..., str]) -> str:
    return make_database()


@pytest.fixture
def spec(url: str) -> ConnectionSpec:
    """Return a small database."""
    return fill(parse_url(url), rows=1000)


@pytest.fixture
def large(url: str) -> ConnectionSpec:
    """Return a database whose dump takes some time."""
    with connect(parse_url(url), application_name="fill") as session:
        make_large(session, "one", "two")
    return parse_url(url)


def fill(spec: ConnectionSpec, *, rows: int) -> ConnectionSpec:
    with connect(spec, application_name="fill") as session:
        for name in ("one", "two"):
            session.execute(
                sql.SQL(
                    "CREATE TABLE {} AS SELECT n, md5(n::text) || md5((n + 1)::text) AS noise"
                    " FROM generate_series(1, {}) AS n"
                ).format(sql.Identifier(name), sql.Literal(rows))
            )
    return spec


@pytest.fixture
def watch(large: ConnectionSpec) -> Iterator[psycopg.Connection]:
    with connect(large, application_name="watch") as session:
        yield session


def job_for(spec: ConnectionSpec, tmp_path: Path) -> FakeJob:
    return FakeJob(spec, params=Backup.Params(), tmp_path=tmp_path)


def failure_message(job: FakeJob, error: type[Exception] = OperationFailed) -> str:
    """Run the backup, which must fail and leave nothing behind; return the message."""
    with pytest.raises(error) as caught:
        Backup().perform(job)
    root = job.target.backups.root
    assert not root.exists() or list(root.iterdir()) == []
    job.close()
    return str(caught.value)


# Parallel tests have other process IDs.
MARK = f"deployctl:{os.getpid()}:"

WORKER = """
    import os
    from pathlib import Path
    from deployctl.operations.kinds.backup import Backup
    from deployctl.operations.framework.fakes import FakeJob
    from deployctl.postgres.connection import parse_url

    job = FakeJob(
        parse_url(os.environ["URL"]),
        params=Backup.Params(),
        tmp_path=Path(os.environ["FOLDER"]),
        run_id=int(os.environ["RUN"]),
    )
    Backup().perform(job)
"""


@pytest.mark.fault(1)
def test_a_killed_worker_leaves_only_a_partial_backup(
    url: str, watch: psycopg.Connection, tmp_path: Path
) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER)],
        env={**os.environ, "URL": url, "FOLDER": str(tmp_path), "RUN": str(os.getpid())},
    )
    try:
        until(lambda: progress.copies(watch, f"{MARK}1") or worker.poll() is not None)
        tree = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        took = until(lambda: not any(alive(member) for member in tree))
        took += until(lambda: not activity.pids_named(watch, MARK))
    finally:
        worker.kill()
        worker.wait()

    folder = LocalFolder(tmp_path / "backups")
    assert tree
    assert took < 2
    assert folder.list() == ()
    (left,) = folder.root.iterdir()
    assert left.name.endswith(".partial")


@pytest.mark.fault(13)
def test_cancellation_ends_program_and_sessions_within_five_seconds(
    large: ConnectionSpec, watch: psycopg.Connection, tmp_path: Path
) -> None:
    job = job_for(large, tmp_path)
    ended = threading.Event()
    took: list[float] = []

    def cancel_during_dump() -> None:
        try:
            until(lambda: progress.copies(watch, job.application_name))
        finally:
            job.cancel("cancelled by Dana Baker")
        took.append(until(ended.is_set))

    canceller = threading.Thread(target=cancel_during_dump)
    canceller.start()
    try:
        message = failure_message(job, Cancelled)
    finally:
        ended.set()
        canceller.join()

    assert message == "cancelled by Dana Baker"
    took.append(until(lambda: not activity.pids_named(watch, job.application_name)))
    assert sum(took) < 5


@pytest.mark.fault(15)
def test_a_full_disk_is_reported_and_earlier_backups_remain(
    url: str,
    make_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: Callable[[str], None],
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount") or pytest.skip("this machine has no mount")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=5m", "tmpfs", disk], check=False).returncode:
        pytest.skip("a small disk can only be made by root")
    try:
        # Skip the check before the start: the disk may fill up later.
        monkeypatch.setattr(LocalFolder, "free_bytes", lambda _: 1 << 40)
        earlier = Backup().perform(job_for(fill(parse_url(make_database()), rows=100), disk)).artefact
        assert earlier is not None
        # At least 10 MB after compression.
        job = job_for(fill(parse_url(url), rows=150_000), disk)
        with pytest.raises(
            OperationFailed, match=r"disk of the backup folder .* is full.*earlier backups are untouched"
        ) as caught:
            Backup().perform(job)

        assert list((disk / "backups").iterdir()) == [earlier.path]
        manifest.check(earlier.path, manifest.read(earlier.path, expected_sha256=earlier.manifest_sha256))
    finally:
        subprocess.run([shutil.which("umount") or "umount", disk], check=True)
    seen(f"a tmpfs of 5 MB: “{caught.value}”; the earlier backup is undamaged")


def test_too_little_disk_space_is_refused_before_the_start(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFolder, "free_bytes", lambda _: 1_000_000)
    job = job_for(spec, tmp_path)

    message = failure_message(job)

    assert "has 1,000,000 bytes free" in message
    assert "Nothing was written" in message
    assert job.steps == [("Inspect the database", "failed")]


@pytest.mark.fault(18)
def test_a_pg_dump_older_than_the_server_is_refused(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], None]
) -> None:
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setattr(tools, "folders", lambda: [tmp_path])

    job = job_for(spec, tmp_path)
    message = failure_message(job, ToolMissing)

    assert "9.6.24" in message
    with connect(spec, application_name="test") as session:
        server = session.info.server_version // 10000
    assert f"The server is PostgreSQL {server}," in message
    assert job.output == b"", "the tool was started"
    seen(f"pg_dump 9.6.24 for server {server}: refused before the start, with both versions")


def test_an_unreadable_table_is_named_with_the_missing_grant(
    spec: ConnectionSpec, postgres_superuser_url: str, tmp_path: Path
) -> None:
    as_superuser = parse_url(postgres_superuser_url).with_database(spec.dbname)
    with connect(as_superuser, application_name="admin") as admin:
        admin.execute("CREATE TABLE payroll (id int)")

    message = failure_message(job_for(spec, tmp_path))

    assert "can't read 1 of 3 tables (public.payroll)" in message
    assert f'GRANT pg_read_all_data TO "{spec.user}";' in message


def test_rows_hidden_by_a_policy_fail_the_backup(spec: ConnectionSpec, tmp_path: Path) -> None:
    with connect(spec, application_name="test") as session:
        session.execute(
            "ALTER TABLE one ENABLE ROW LEVEL SECURITY; ALTER TABLE one FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY few ON one USING (n < 10)"
        )

    assert "row-level security" in failure_message(job_for(spec, tmp_path))


def test_a_locked_table_fails_the_backup_and_names_the_lock_holder(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_S", 2)
    with connect(spec, application_name="forgotten psql") as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE one IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        job = job_for(spec, tmp_path)

        message = failure_message(job)

    assert f"session {pid} of role {spec.user} (forgotten psql)" in message
    assert "LOCK TABLE one IN ACCESS EXCLUSIVE MODE" in message
    assert f"Waiting for session {pid}" in job.text
    assert job.steps == [("Inspect the database", "failed")]


def test_a_backup_waits_for_a_short_lock(spec: ConnectionSpec, tmp_path: Path) -> None:
    job = job_for(spec, tmp_path)
    with connect(spec, application_name="migration") as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE one IN ACCESS EXCLUSIVE MODE")

        def release() -> None:
            try:
                until(lambda: "Waiting for session" in job.text)
            finally:
                holder.execute("COMMIT")

        holding = threading.Thread(target=release)
        holding.start()
        outcome = Backup().perform(job)
        holding.join()

    assert "Waiting for session" in job.text
    assert outcome.facts["rows"] == 2000


def test_a_lock_taken_after_the_check_fails_the_dump(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_S", 2)
    # Detect the lock holder before the lock timeout, even on a busy machine.
    monkeypatch.setattr(dump_progress, "EVERY_S", 0)
    with connect(spec, application_name="forgotten psql") as other:
        # The backup does not lock a partitioned table itself, because it has no rows; pg_dump does.
        other.execute("CREATE TABLE parent (n int) PARTITION BY RANGE (n)")
        pid = other.info.backend_pid

        def lock(*_: object) -> list[activity.Blocker]:
            other.execute("BEGIN")
            other.execute("LOCK TABLE parent IN ACCESS EXCLUSIVE MODE")
            return []

        monkeypatch.setattr(activity, "exclusive_holders", lock)
        job = job_for(spec, tmp_path)
        message = failure_message(job)

    assert f"session {pid} of role {spec.user} (forgotten psql)" in message
    assert f"pg_dump waits for session {pid}" in job.text
    assert job.steps[-1] == ("Dump", "failed")


def test_a_backup_that_is_read_back_differently_is_not_published(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damage(folder: Path) -> None:
        path = max(folder.iterdir(), key=lambda file: file.stat().st_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(manifest, "drop_page_cache", damage)
    job = job_for(spec, tmp_path)

    assert "was changed after" in failure_message(job, Damaged)
    assert job.steps[-1] == ("Read the files back", "failed")


def test_a_lost_connection_fails_the_backup_with_the_servers_message(
    large: ConnectionSpec, watch: psycopg.Connection, tmp_path: Path
) -> None:
    job = job_for(large, tmp_path)

    def end_sessions() -> None:
        until(lambda: progress.copies(watch, job.application_name))
        activity.terminate_named(watch, job.application_name)

    terminator = threading.Thread(target=end_sessions)
    terminator.start()
    message = failure_message(job)
    terminator.join()

    assert "terminating connection" in message or "closed the connection" in message
    assert "incomplete backup was removed" in message


def alive(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
