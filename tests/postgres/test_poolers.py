"""Tests with PgBouncer, servers that hang and servers other than PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.analyze import Analyze
from deployctl.operations.kinds.backup import Backup
from deployctl.operations.kinds.connect import Connect
from deployctl.postgres.connection import CannotConnect, ConnectionSpec, Reason, connect, parse_url
from deployctl.postgres.short_session import short_session
from tests.postgres.proxies import Proxy, proxy_to
from tests.postgres.test_connection import reason_for, spec_with
from tests.processes import free_port, is_listening
from tests.temporary_folders import make_accessible
from tests.waiting import until

# .make/find-pgbouncer installs it under these conditions.
MUST_BE_THERE = bool(os.environ.get("CI")) and os.geteuid() == 0 and shutil.which("apt-get") is not None


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    return parse_url(make_database())


@pytest.fixture(params=["transaction", "session", "statement"])
def bouncer(request: pytest.FixtureRequest, shop: ConnectionSpec, tmp_path: Path) -> Iterator[ConnectionSpec]:
    """Run PgBouncer in front of the server, in each pool mode."""
    program = os.environ.get("DEPLOYCTL_PGBOUNCER") or shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if not program:
        if MUST_BE_THERE:
            pytest.fail("PgBouncer could not be installed; see what .make/find-pgbouncer says.")
        pytest.skip("PgBouncer is not installed. Install it to have real poolers tested.")
    port = free_port()
    (tmp_path / "users").write_text(f'"{shop.user}" "{shop.password}"\n')
    (tmp_path / "ini").write_text(
        f"[databases]\n* = host={shop.host} port={shop.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
        f"listen_port={port}\nunix_socket_dir=\nauth_type=plain\nauth_file={tmp_path}/users\n"
        f"pool_mode={request.param}\n"
    )
    # PgBouncer doesn't run as root.
    user = next((name for name in ("postgres", "nobody") if os.geteuid() == 0 and _exists(name)), None)
    if user:
        for path in (tmp_path, *tmp_path.iterdir()):
            shutil.chown(path, user)
        make_accessible(tmp_path)
    process = subprocess.Popen([program, "-q", tmp_path / "ini"], user=user, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_listening(process, port))
        yield replace(shop, port=port)
    finally:
        process.kill()
        process.wait()


def _mode(tmp_path: Path) -> str:
    return (tmp_path / "ini").read_text().rpartition("=")[2].strip()


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def test_pgbouncer_is_detected_in_every_mode_and_keeps_no_settings(
    bouncer: ConnectionSpec, shop: ConnectionSpec, tmp_path: Path
) -> None:
    job = FakeJob(bouncer, tmp_path=tmp_path, params=Backup.Params())
    # With pool_mode=statement, PgBouncer allows no transactions, so that Connect fails, too.
    refused_in_mode: list[Any] = [Backup, Analyze] + ([Connect] if _mode(tmp_path) == "statement" else [])
    for operation in refused_in_mode:
        job.params = operation.Params()
        with pytest.raises(CannotConnect, match="a connection pooler, not PostgreSQL") as caught:
            operation().perform(job)
        assert caught.value.reason is Reason.POOLER
        assert "the address of PostgreSQL itself" in caught.value.message
    with psycopg.connect(bouncer.conninfo(), autocommit=True) as application:
        row = application.execute(
            "SELECT current_setting('default_transaction_read_only'), current_setting('statement_timeout')"
        ).fetchone()
    assert row == ("off", "0")


@pytest.mark.parametrize("bouncer", ["transaction"], indirect=True)
def test_verify_connection_warns_about_a_pooler(bouncer: ConnectionSpec, tmp_path: Path) -> None:
    job = FakeJob(bouncer, tmp_path=tmp_path)

    outcome = Connect().perform(job)

    assert outcome.facts["pooler"] is True
    assert outcome.facts["tls"] is False
    for item in ("advisory locks", "prepared statements", "LISTEN", "settings", "application names"):
        assert item in outcome.summary
    assert "The connection goes through a pooler such as PgBouncer." in job.text
    assert reason_for(bouncer.with_database("missing"))[0] in {Reason.NO_SUCH_DATABASE, Reason.OTHER}


def test_a_direct_session_is_not_taken_for_a_pooler(shop: ConnectionSpec, tmp_path: Path) -> None:
    assert Connect().perform(FakeJob(shop, tmp_path=tmp_path)).facts["pooler"] is False
    with proxy_to(shop) as proxy:  # forwards everything, like a tunnel
        connect(replace(shop, port=proxy.port), application_name="test").close()


def _ask(session: psycopg.Connection, proxy: Proxy) -> None:
    proxy.dead.set()
    session.execute("SELECT 1")


def test_a_short_session_ends_in_time_if_the_server_hangs(shop: ConnectionSpec) -> None:
    with proxy_to(shop) as proxy:
        started = time.monotonic()
        connection = short_session(replace(shop, port=proxy.port), within_s=1, application_name="test")
        with pytest.raises(CannotConnect, match=r"didn't answer within 1 s") as caught, connection as session:
            _ask(session, proxy)
    assert caught.value.reason is Reason.TIMEOUT
    assert time.monotonic() - started < 15


def test_a_short_session_that_ends_in_time_is_not_dropped(shop: ConnectionSpec) -> None:
    with short_session(shop, within_s=30, application_name="test") as session:
        session.execute("SELECT 1")
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        short_session(shop, within_s=30, application_name="test") as session,
    ):
        session.execute("SELECT 1/0")


MYSQL = b"J\x00\x00\x00\n8.0.36\x00" + bytes(60)
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
OTHERS: dict[str, tuple[list[bytes], Reason]] = {
    "mysql, which speaks first": ([MYSQL], Reason.NOT_POSTGRESQL),
    "a port that takes only TLS": ([TLS_ALERT], Reason.NOT_POSTGRESQL),
    "memcached": ([b"ERROR\r\n"], Reason.NOT_POSTGRESQL),
    "one that promises TLS and falls silent": ([b"S", b""], Reason.TIMEOUT),
    "one that drips": ([b"N", b"R\x00\x00\x07\x00", *[b"\x00"] * 400], Reason.TIMEOUT),
}


@pytest.mark.parametrize("what", OTHERS)
def test_an_unknown_server_is_diagnosed_in_one_sentence_in_time(what: str) -> None:
    says, reason = OTHERS[what]
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    client = server.accept()[0]
                except OSError:
                    return
                with client:
                    client.settimeout(5)
                    try:
                        for piece in says:
                            client.sendall(piece)
                            if len(says) > 1:
                                done.wait(0.5)
                        if len(says) > 1:
                            done.wait(30)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        started = time.monotonic()
        try:
            spec = spec_with(host="127.0.0.1", port=server.getsockname()[1], options={"connect_timeout": "2"})
            found, message = reason_for(spec)
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)

    assert found is reason, message
    assert time.monotonic() - started < 20
