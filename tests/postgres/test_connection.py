"""Tests for parsing connection URLs and opening sessions."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from deployctl.postgres.connection import (
    CannotConnect,
    ConnectionSpec,
    InvalidConnectionURL,
    Reason,
    connect,
    parse_url,
)

SPECIAL_NAMES = [
    "with \"quotes\" and 'apostrophes'",
    "line\nbreak",
    "$(touch /tmp/never)",
    "--file=x",
    "host=example.invalid dbname=postgres",
    "postgresql://example.invalid/x",
    "back\\slash:colon",
]


def spec_with(**changes: object) -> ConnectionSpec:
    spec = ConnectionSpec(host="db.example", port=5432, user="app", password="s3cret", dbname="shop")
    return replace(spec, **changes)  # type: ignore[arg-type]


def test_a_url_is_parsed_into_its_parts() -> None:
    spec = parse_url("postgresql://app:p%40ss%3Aw%2Frd@db.example:6432/shop?sslmode=require&schema=public")

    assert (spec.host, spec.port, spec.user, spec.password) == ("db.example", 6432, "app", "p@ss:w/rd")
    assert spec.dbname == "shop"
    assert spec.options == {"sslmode": "require", "schema": "public"}


def test_the_port_is_optional() -> None:
    assert parse_url("postgres://app@db.example/shop").port == 5432


def test_socket_folders_and_ipv6_addresses_are_parsed() -> None:
    assert parse_url("postgresql://app@/shop?host=/var/run/postgresql").host == "/var/run/postgresql"
    assert parse_url("postgresql://app@[::1]:5433/shop").host == "::1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://app@h/shop", "postgresql://"),
        ("", "postgresql://"),
        ("postgresql:///shop", "has no server"),
        ("postgresql://h/shop", "has no user"),
        ("postgresql://app@h", "has no database"),
        ("postgresql://app@h:port/shop", "port"),
        ("postgresql://app@h:70000/shop", "1 to 65535"),
        ("postgresql://app@h1,h2/shop", "more than one server"),
        ("postgresql://app@h/shop?sslmod=require", "unknown parameter sslmod"),
        ("postgresql://app@h/shop?service=other", "can't set service"),
        ("postgresql://app@h/shop?nonsense", "name=value"),
        ("postgresql://app:%zz@h/shop", "Percent-encode"),
    ],
)
def test_an_invalid_url_is_rejected_with_the_reason(url: str, expected: str) -> None:
    with pytest.raises(InvalidConnectionURL, match=expected.replace("?", r"\?")):
        parse_url(url)


def test_no_error_message_contains_the_password() -> None:
    for url in (
        "postgresql://app:hunter2%zz@h/shop",
        "http://app:hunter2@h/x",
        "postgresql://app:hunter2@h:x/shop",
    ):
        with pytest.raises(InvalidConnectionURL) as caught:
            parse_url(url)
        assert "hunter2" not in str(caught.value)


def test_repr_and_redacted_form_hide_the_password() -> None:
    spec = spec_with(options={"sslpassword": "other-s3cret"})

    assert "s3cret" not in repr(spec)
    assert "s3cret" not in spec.redacted


@pytest.mark.parametrize("name", SPECIAL_NAMES)
def test_url_and_conninfo_quote_special_characters(name: str) -> None:
    spec = spec_with(user=name, password=name, dbname=name)

    again = parse_url(spec.url)
    read = psycopg.conninfo.conninfo_to_dict(spec.conninfo())

    assert (again.user, again.password, again.dbname) == (name, name, name)
    assert (read["user"], read["password"], read["dbname"]) == (name, name, name)
    assert read["host"] == "db.example"


def test_application_parameters_are_in_the_url_but_not_in_the_conninfo() -> None:
    spec = parse_url("postgresql://app@h/shop?schema=public&connection_limit=5")

    assert "schema" not in spec.conninfo()
    assert spec.url.endswith("?schema=public&connection_limit=5")


def test_a_session_has_limits_and_detects_a_dead_client(make_database: Callable[..., str]) -> None:
    with connect(
        parse_url(make_database()), application_name="deployctl:1:1", statement_timeout_s=1.5, read_only=True
    ) as session:
        shown = {
            name: session.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
            for name in ("application_name", "statement_timeout", "client_connection_check_interval")
        }
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            session.execute("CREATE TABLE never ()")

    assert shown["application_name"] == ("deployctl:1:1",)
    assert shown["statement_timeout"] == ("1500ms",)
    assert shown["client_connection_check_interval"] == ("1s",)


@contextlib.contextmanager
def answering(reply: bytes | None) -> Iterator[int]:
    """Run a server other than PostgreSQL that sends `reply` to each client, or nothing (None)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            with contextlib.ExitStack() as open_sockets:
                while not done.is_set():
                    with contextlib.suppress(
                        OSError
                    ):  # no client connected, or it closed the connection early
                        client = open_sockets.enter_context(server.accept()[0])
                        if reply is not None:
                            client.recv(1024)
                            client.sendall(reply)
                            client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join()


def reason_for(spec: ConnectionSpec) -> tuple[Reason, str]:
    with pytest.raises(CannotConnect) as caught:
        connect(spec, application_name="test")
    assert spec.password not in str(caught.value)
    return caught.value.reason, str(caught.value)


def test_a_refused_connection_is_diagnosed() -> None:
    with (
        socket.socket() as kept
    ):  # bound, so that no other process listens on the port, but not listening itself
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        reason, message = reason_for(spec_with(host="127.0.0.1", port=port))

    assert reason is Reason.REFUSED
    assert f"127.0.0.1:{port}" in message


def test_an_unknown_host_is_diagnosed() -> None:
    assert reason_for(spec_with(host="no-such-host.invalid"))[0] is Reason.UNKNOWN_HOST


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""],
    ids=["http", "redis", "ssh", "closes"],
)
def test_a_server_other_than_postgresql_is_diagnosed(reply: bytes) -> None:
    with answering(reply) as port:
        reason, message = reason_for(spec_with(host="127.0.0.1", port=port))

    assert reason is Reason.NOT_POSTGRESQL
    assert "doesn't speak the PostgreSQL" in message


def test_a_silent_server_times_out_after_five_seconds() -> None:
    with answering(None) as port:
        assert reason_for(spec_with(host="127.0.0.1", port=port))[0] is Reason.TIMEOUT


def test_wrong_password_role_and_database_are_distinguished(
    make_database: Callable[..., str],
) -> None:
    spec = parse_url(make_database())

    assert reason_for(replace(spec, password="wrong-password"))[0] is Reason.WRONG_PASSWORD
    # Without authentication, the server doesn't reveal if the role exists, so both reasons are correct.
    assert reason_for(replace(spec, user="nobody"))[0] in {Reason.WRONG_PASSWORD, Reason.NO_SUCH_ROLE}
    reason, message = reason_for(spec.with_database("missing"))
    assert reason is Reason.NO_SUCH_DATABASE
    assert "Create database" in message


def test_a_server_without_tls_is_diagnosed_if_tls_is_required(
    make_database: Callable[..., str],
) -> None:
    spec = replace(parse_url(make_database()), options={"sslmode": "require"})

    reason, message = reason_for(spec)

    assert reason is Reason.TLS
    assert "SSL" in message


@pytest.mark.parametrize("name", SPECIAL_NAMES)
def test_a_special_database_name_connects_to_that_database(
    make_database: Callable[..., str], name: str
) -> None:
    spec = parse_url(make_database(name))

    with connect(spec, application_name="test") as session:
        assert session.execute("SELECT current_database()").fetchone() == (name,)


def test_a_missing_certificate_file_is_not_a_missing_database() -> None:
    spec = spec_with(host="127.0.0.1", options={"sslmode": "verify-full", "sslrootcert": "/no/such/ca.pem"})
    with answering(b"S") as port:
        assert reason_for(replace(spec, port=port))[0] is Reason.TLS
