"""The operation "Back up" when something goes wrong: nothing half made is ever listed."""

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
    """A small database."""
    return fill(parse_url(url), rows=1000)


@pytest.fixture
def large(url: str) -> ConnectionSpec:
    """One whose dump takes a while."""
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


def failed(job: FakeJob, error: type[Exception] = OperationFailed) -> str:
    """Run the backup, which must fail, leave nothing, and end its sessions; returns the message."""
    with pytest.raises(error) as caught:
        Backup().perform(job)
    root = job.target.backups.root
    assert not root.exists() or list(root.iterdir()) == []
    job.close()
    return str(caught.value)


# Tests that run beside these have other numbers.
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
def test_kill_9_in_the_middle_leaves_no_child_no_session_and_only_a_partial(
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
def test_cancelling_ends_everything_within_five_seconds(
    large: ConnectionSpec, watch: psycopg.Connection, tmp_path: Path
) -> None:
    job = job_for(large, tmp_path)
    ended = threading.Event()
    took: list[float] = []

    def press() -> None:
        try:
            until(lambda: progress.copies(watch, job.application_name))
        finally:
            job.cancel("cancelled by Dana Baker")
        took.append(until(ended.is_set))

    person = threading.Thread(target=press)
    person.start()
    try:
        message = failed(job, Cancelled)
    finally:
        ended.set()
        person.join()

    assert message == "cancelled by Dana Baker"
    took.append(until(lambda: not activity.pids_named(watch, job.application_name)))
    assert sum(took) < 5


@pytest.mark.fault(15)
def test_a_full_disk_is_the_reason_given_and_earlier_backups_stay(
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
        # What the check before the start would notice, somebody else may fill later.
        monkeypatch.setattr(LocalFolder, "free_bytes", lambda _: 1 << 40)
        earlier = Backup().perform(job_for(fill(parse_url(make_database()), rows=100), disk)).artefact
        assert earlier is not None
        # 10 MB, however well they are compressed.
        job = job_for(fill(parse_url(url), rows=150_000), disk)
        with pytest.raises(
            OperationFailed, match=r"disk of the backup folder .* is full.*earlier backups are untouched"
        ) as caught:
            Backup().perform(job)

        assert list((disk / "backups").iterdir()) == [earlier.path]
        manifest.check(earlier.path, manifest.read(earlier.path, expected_sha256=earlier.manifest_sha256))
    finally:
        subprocess.run([shutil.which("umount") or "umount", disk], check=True)
    seen(f"a tmpfs of 5 MB: “{caught.value}”; the earlier backup is whole")


def test_too_little_room_is_refused_before_the_start(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFolder, "free_bytes", lambda _: 1_000_000)
    job = job_for(spec, tmp_path)

    message = failed(job)

    assert "has 1,000,000 bytes free" in message
    assert "Nothing was written" in message
    assert job.steps == [("Look at the database", "failed")]


@pytest.mark.fault(18)
def test_a_dump_tool_older_than_the_server_is_refused_naming_both(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], None]
) -> None:
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setattr(tools, "folders", lambda: [tmp_path])

    job = job_for(spec, tmp_path)
    message = failed(job, ToolMissing)

    assert "9.6.24" in message
    with connect(spec, application_name="test") as session:
        server = session.info.server_version // 10000
    assert f"The server is PostgreSQL {server}," in message
    assert job.output == b"", "the tool was started"
    seen(f"pg_dump 9.6.24 for server {server}: refused before anything was started, both named")


def test_a_table_that_the_role_may_not_read_is_named_with_the_grant(
    spec: ConnectionSpec, postgres_superuser_url: str, tmp_path: Path
) -> None:
    there = parse_url(postgres_superuser_url).with_database(spec.dbname)
    with connect(there, application_name="admin") as admin:
        admin.execute("CREATE TABLE payroll (id int)")

    message = failed(job_for(spec, tmp_path))

    assert "may not read 1 of 3 tables (public.payroll)" in message
    assert f'GRANT pg_read_all_data TO "{spec.user}";' in message


def test_rows_hidden_by_a_policy_fail_the_backup_instead_of_being_left_out(
    spec: ConnectionSpec, tmp_path: Path
) -> None:
    with connect(spec, application_name="test") as session:
        session.execute(
            "ALTER TABLE one ENABLE ROW LEVEL SECURITY; ALTER TABLE one FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY few ON one USING (n < 10)"
        )

    assert "row-level security" in failed(job_for(spec, tmp_path))


def test_a_locked_table_fails_the_backup_naming_who_holds_it(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_S", 2)
    with connect(spec, application_name="forgotten psql") as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE one IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        job = job_for(spec, tmp_path)

        message = failed(job)

    assert f"session {pid} of role {spec.user} (forgotten psql)" in message
    assert "LOCK TABLE one IN ACCESS EXCLUSIVE MODE" in message
    assert f"Waiting for session {pid}" in job.text
    assert job.steps == [("Look at the database", "failed")]


def test_a_table_that_is_locked_for_a_moment_is_waited_for(spec: ConnectionSpec, tmp_path: Path) -> None:
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


def test_a_table_locked_after_the_look_stops_the_dump_and_names_who(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "LOCK_WAIT_S", 2)
    monkeypatch.setattr(
        dump_progress, "EVERY_S", 0
    )  # seen long before the wait is over, on a busy machine too
    with connect(spec, application_name="forgotten psql") as other:
        # A parent table holds no rows, so the backup does not lock it itself; pg_dump does.
        other.execute("CREATE TABLE parent (n int) PARTITION BY RANGE (n)")
        pid = other.info.backend_pid

        def lock(*_: object) -> list[activity.Blocker]:
            other.execute("BEGIN")
            other.execute("LOCK TABLE parent IN ACCESS EXCLUSIVE MODE")
            return []

        monkeypatch.setattr(activity, "exclusive_holders", lock)
        job = job_for(spec, tmp_path)
        message = failed(job)

    assert f"session {pid} of role {spec.user} (forgotten psql)" in message
    assert f"pg_dump waits for session {pid}" in job.text
    assert job.steps[-1] == ("Dump", "failed")


def test_what_the_medium_gives_back_differently_is_never_published(
    spec: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damage(folder: Path) -> None:
        path = max(folder.iterdir(), key=lambda file: file.stat().st_size)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(manifest, "drop_page_cache", damage)
    job = job_for(spec, tmp_path)

    assert "was changed after" in failed(job, Damaged)
    assert job.steps[-1] == ("Read everything back", "failed")


def test_a_server_that_goes_away_fails_the_backup_with_its_words(
    large: ConnectionSpec, watch: psycopg.Connection, tmp_path: Path
) -> None:
    job = job_for(large, tmp_path)

    def end_sessions() -> None:
        until(lambda: progress.copies(watch, job.application_name))
        activity.terminate_named(watch, job.application_name)

    person = threading.Thread(target=end_sessions)
    person.start()
    message = failed(job)
    person.join()

    assert "terminating connection" in message or "closed the connection" in message
    assert "half-made backup was removed" in message


def alive(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
