"""Reading connection URLs, and opening sessions."""

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

STRANGE_NAMES = [
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


def test_a_url_is_read_into_its_parts() -> None:
    spec = parse_url("postgresql://app:p%40ss%3Aw%2Frd@db.example:6432/shop?sslmode=require&schema=public")

    assert (spec.host, spec.port, spec.user, spec.password) == ("db.example", 6432, "app", "p@ss:w/rd")
    assert spec.dbname == "shop"
    assert spec.options == {"sslmode": "require", "schema": "public"}


def test_the_port_may_be_left_out() -> None:
    assert parse_url("postgres://app@db.example/shop").port == 5432


def test_a_socket_folder_and_an_ipv6_address_are_understood() -> None:
    assert parse_url("postgresql://app@/shop?host=/var/run/postgresql").host == "/var/run/postgresql"
    assert parse_url("postgresql://app@[::1]:5433/shop").host == "::1"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://app@h/shop", "postgresql://"),
        ("", "postgresql://"),
        ("postgresql:///shop", "names no server"),
        ("postgresql://h/shop", "names no user"),
        ("postgresql://app@h", "names no database"),
        ("postgresql://app@h:port/shop", "port"),
        ("postgresql://app@h:70000/shop", "1 to 65535"),
        ("postgresql://app@h1,h2/shop", "several servers"),
        ("postgresql://app@h/shop?sslmod=require", "unknown parameter sslmod"),
        ("postgresql://app@h/shop?service=other", "may not set service"),
        ("postgresql://app@h/shop?nonsense", "name=value"),
        ("postgresql://app:%zz@h/shop", "Percent-encode"),
    ],
)
def test_a_wrong_url_is_refused_with_what_is_wrong(url: str, words: str) -> None:
    with pytest.raises(InvalidConnectionURL, match=words.replace("?", r"\?")):
        parse_url(url)


def test_no_message_about_a_url_repeats_its_password() -> None:
    for url in (
        "postgresql://app:hunter2%zz@h/shop",
        "http://app:hunter2@h/x",
        "postgresql://app:hunter2@h:x/shop",
    ):
        with pytest.raises(InvalidConnectionURL) as caught:
            parse_url(url)
        assert "hunter2" not in str(caught.value)


def test_neither_repr_nor_the_display_form_shows_the_password() -> None:
    spec = spec_with(options={"sslpassword": "other-s3cret"})

    assert "s3cret" not in repr(spec)
    assert "s3cret" not in spec.redacted


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_url_and_conninfo_carry_strange_names_literally(name: str) -> None:
    spec = spec_with(user=name, password=name, dbname=name)

    again = parse_url(spec.url)
    read = psycopg.conninfo.conninfo_to_dict(spec.conninfo())

    assert (again.user, again.password, again.dbname) == (name, name, name)
    assert (read["user"], read["password"], read["dbname"]) == (name, name, name)
    assert read["host"] == "db.example"


def test_the_applications_parameters_stay_out_of_the_conninfo_but_in_the_url() -> None:
    spec = parse_url("postgresql://app@h/shop?schema=public&connection_limit=5")

    assert "schema" not in spec.conninfo()
    assert spec.url.endswith("?schema=public&connection_limit=5")


def test_a_session_has_its_limits_and_notices_a_dead_client(make_database: Callable[..., str]) -> None:
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
    """A server that is not PostgreSQL: sends `reply` to whoever connects, or stays silent (None)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            with contextlib.ExitStack() as open_sockets:
                while not done.is_set():
                    with contextlib.suppress(
                        OSError
                    ):  # nobody came meanwhile, or did not wait for the answer
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


def test_nothing_listening_is_told() -> None:
    with socket.socket() as kept:  # taken, so that nobody else comes to listen there, and not listening
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        reason, message = reason_for(spec_with(host="127.0.0.1", port=port))

    assert reason is Reason.REFUSED
    assert f"127.0.0.1:{port}" in message


def test_an_unknown_host_is_told() -> None:
    assert reason_for(spec_with(host="no-such-host.invalid"))[0] is Reason.UNKNOWN_HOST


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""],
    ids=["http", "redis", "ssh", "closes"],
)
def test_a_server_that_is_not_postgresql_is_recognised(reply: bytes) -> None:
    with answering(reply) as port:
        reason, message = reason_for(spec_with(host="127.0.0.1", port=port))

    assert reason is Reason.NOT_POSTGRESQL
    assert "does not speak PostgreSQL" in message


def test_a_silent_server_is_given_up_after_five_seconds() -> None:
    with answering(None) as port:
        assert reason_for(spec_with(host="127.0.0.1", port=port))[0] is Reason.TIMEOUT


def test_a_wrong_password_a_missing_role_and_a_missing_database_are_told_apart(
    make_database: Callable[..., str],
) -> None:
    spec = parse_url(make_database())

    assert reason_for(replace(spec, password="wrong-password"))[0] is Reason.WRONG_PASSWORD
    # To a stranger the server does not say whether the role exists; either answer is right.
    assert reason_for(replace(spec, user="nobody"))[0] in {Reason.WRONG_PASSWORD, Reason.NO_SUCH_ROLE}
    reason, message = reason_for(spec.with_database("missing"))
    assert reason is Reason.NO_SUCH_DATABASE
    assert "Create database" in message


def test_a_server_without_encryption_is_told_when_encryption_is_demanded(
    make_database: Callable[..., str],
) -> None:
    spec = replace(parse_url(make_database()), options={"sslmode": "require"})

    reason, message = reason_for(spec)

    assert reason is Reason.TLS
    assert "SSL" in message


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_strange_database_name_leads_nowhere_else(make_database: Callable[..., str], name: str) -> None:
    spec = parse_url(make_database(name))

    with connect(spec, application_name="test") as session:
        assert session.execute("SELECT current_database()").fetchone() == (name,)


def test_a_missing_certificate_file_is_not_taken_for_a_missing_database() -> None:
    spec = spec_with(host="127.0.0.1", options={"sslmode": "verify-full", "sslrootcert": "/no/such/ca.pem"})
    with answering(b"S") as port:
        assert reason_for(replace(spec, port=port))[0] is Reason.TLS
