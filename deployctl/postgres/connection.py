"""Parse connection URLs and open sessions; every session is opened by `connect`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from psycopg import conninfo, pq

from deployctl.errors import DeployctlError
from deployctl.postgres.diagnosis import CannotConnect, Reason, diagnose, pooled
from deployctl.postgres.queries import session

__all__ = [
    "CannotConnect",
    "ConnectionSpec",
    "InvalidConnectionURL",
    "Reason",
    "cancel_until_done",
    "connect",
    "parse_url",
]

DEFAULT_PORT = 5432
CONNECT_TIMEOUT_S = 5
# A server that vanished is detected after about 30 s instead of the kernel's 2 h 15 min: by keepalives while
# the connection is idle, by tcp_user_timeout (ms) while data that we sent is unacknowledged.
KEEPALIVES: Mapping[str, int] = MappingProxyType(
    {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
)

# Parameters that Prisma puts into DATABASE_URL. libpq rejects them, so they are left out of the connection
# string but kept for programs that get the URL.
APPLICATION_PARAMETERS = frozenset(
    {
        "connection_limit",
        "pgbouncer",
        "pool_timeout",
        "schema",
        "socket_timeout",
        "sslaccept",
        "sslidentity",
        "statement_cache_size",
    }
)
# These would override the host, user or password of the URL, or the application name that deployctl sets.
REFUSED_PARAMETERS = frozenset({"service", "servicefile", "passfile", "hostaddr", "application_name"})


class InvalidConnectionURL(DeployctlError):
    """A connection URL that cannot be used; the message never contains its password."""


@dataclass(frozen=True)
class ConnectionSpec:
    """The server, database, role and password of a connection.

    `options` holds the URL's other parameters: libpq's (`sslmode`, …) and the application's (`schema`, …).
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str
    options: Mapping[str, str] = field(repr=False, default_factory=lambda: MappingProxyType({}))

    def with_database(self, name: str) -> ConnectionSpec:
        """Return a spec for another database, with the same server and role."""
        return replace(self, dbname=name)

    @property
    def libpq_options(self) -> dict[str, str]:
        """Return the parameters that libpq understands."""
        known = environment_names()
        return {key: value for key, value in self.options.items() if key in known}

    def conninfo(self, **overrides: str | int) -> str:
        """Return the connection string for libpq, with every value quoted.

        Connection strings are built here only: an unquoted name such as `x host=evil` would be parsed as
        parameters.

        Args:
            overrides: libpq parameters to add or replace.
        """
        parameters: dict[str, str | int] = {
            **self.libpq_options,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.dbname,
        }
        if self.password:
            parameters["password"] = self.password
        return conninfo.make_conninfo("", **{**parameters, **overrides})

    @property
    def redacted(self) -> str:
        """Return the URL without password and parameters, for display."""
        return f"postgresql://{quote(self.user, safe='')}@{self._location()}"

    @property
    def url(self) -> str:
        """Return the full URL with the password, for programs that read `DATABASE_URL`."""
        credentials = quote(self.user, safe="")
        if self.password:
            credentials += ":" + quote(self.password, safe="")
        parameters = dict(self.options)
        if self.host.startswith("/"):
            parameters["host"] = self.host  # both libpq and Prisma accept a socket folder here
        query = "?" + urlencode(parameters, quote_via=quote) if parameters else ""
        return f"postgresql://{credentials}@{self._location()}{query}"

    def _location(self) -> str:
        host = "localhost" if self.host.startswith("/") else self.host
        host = f"[{host}]" if ":" in host else quote(host, safe="")
        return f"{host}:{self.port}/{quote(self.dbname, safe='')}"


@cache
def environment_names() -> Mapping[str, str | None]:
    """Return the parameters of the installed libpq with the environment variable of each."""
    return MappingProxyType(
        {
            option.keyword.decode(): option.envvar.decode() if option.envvar else None
            for option in pq.Conninfo.get_defaults()
        }
    )


def parse_url(url: str) -> ConnectionSpec:
    """Parse a URL such as `postgresql://user:password@host:port/database?sslmode=require`.

    Args:
        url: as in an application's `DATABASE_URL`; `:@/?#%` inside a part are percent-encoded.

    Raises:
        InvalidConnectionURL: names the part that is wrong and the right form.
    """
    text = url.strip()
    if not text.startswith(("postgresql://", "postgres://")):
        raise InvalidConnectionURL(
            "The connection URL doesn't start with postgresql://. "
            "Write it as postgresql://user:password@host:5432/database."
        )
    location, parameters = _split_query(text)
    try:
        parts = conninfo.conninfo_to_dict(location)
    except psycopg.ProgrammingError:
        # libpq's message can contain the password, so it is not shown.
        raise InvalidConnectionURL(
            "The connection URL can't be parsed. Percent-encode the characters : @ / ? # % and spaces "
            "in the user, password and database name."
        ) from None
    values: dict[str, str] = {key: str(value) for key, value in parts.items() if value is not None}
    values |= {
        key: parameters.pop(key)
        for key in ("host", "port", "user", "password", "dbname")
        if key in parameters
    }
    _check_parameters(parameters)
    return ConnectionSpec(
        host=_required(values, "host", "server"),
        port=_port(values.get("port", "")),
        user=_required(values, "user", "user"),
        password=values.get("password", ""),
        dbname=_required(values, "dbname", "database"),
        options=MappingProxyType(parameters),
    )


def connect(
    spec: ConnectionSpec,
    *,
    application_name: str,
    statement_timeout_s: float | None = None,
    lock_timeout_s: float | None = None,
    read_only: bool = False,
    behind_pooler: bool = False,
    on_open: Callable[[psycopg.Connection], None] = lambda _session: None,
) -> psycopg.Connection:
    """Open an autocommit session.

    A pooler would pass a session with our settings to the next client. So a pooler is rejected, or, with
    `behind_pooler`, everything runs in one transaction with settings that are local to it.

    Args:
        application_name: shown in `pg_stat_activity`; the server truncates it to 63 bytes.
        statement_timeout_s: the limit of each statement in seconds; None for the server's setting.
        lock_timeout_s: the limit of each wait for a lock in seconds; None for the server's setting.
        read_only: make every transaction of the session read-only.
        behind_pooler: accept a pooler; the session is then inside one transaction. Only for reading.
        on_open: called with the session before its first statement.

    Raises:
        CannotConnect: with the reason.
    """
    defaults: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **KEEPALIVES}
    defaults |= {key: value for key, value in spec.libpq_options.items() if key in defaults}
    try:
        connection = psycopg.connect(
            spec.conninfo(application_name=application_name, **defaults), autocommit=True
        )
    except psycopg.Error as error:
        raise diagnose(error, spec.host, spec.port, spec.user, spec.dbname) from error
    on_open(connection)
    try:
        if session.is_pooled(connection):
            if not behind_pooler:
                raise pooled(spec.host, spec.port)
            _begin_pooled(connection, spec, statement_timeout_s=statement_timeout_s, read_only=read_only)
        else:
            session.configure(
                connection,
                statement_timeout_s=statement_timeout_s,
                lock_timeout_s=lock_timeout_s,
                read_only=read_only,
            )
    except BaseException:
        connection.close()
        raise
    return connection


def cancel_until_done(session: psycopg.Connection, running: Future[None]) -> None:
    """Cancel a session's statements until the thread that runs them has ended.

    A cancel request that arrives between two statements has no effect, so it is repeated.
    """
    while not running.done():
        with contextlib.suppress(psycopg.Error):
            session.cancel_safe(timeout=2)
        wait([running], timeout=0.2)


def _begin_pooled(connection: psycopg.Connection, spec: ConnectionSpec, **limits: Any) -> None:
    connection.autocommit = False
    try:
        session.configure_transaction(connection, **limits)
    except (
        psycopg.errors.ProtocolViolation
    ) as error:  # PgBouncer with pool_mode=statement allows no transactions
        raise pooled(spec.host, spec.port) from error


def _split_query(url: str) -> tuple[str, dict[str, str]]:
    """Split off the parameters as libpq does: a `?` before the `@` belongs to the password."""
    start = url.index("://") + 3
    ends = [position for position in (url.find("@", start), url.find("/", start)) if position >= 0]
    location, _, query = url[min(ends, default=start) :].partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise InvalidConnectionURL(
            "The part of the connection URL after ? can't be parsed. Write it as name=value&name=value."
        ) from None
    return url[: min(ends, default=start)] + location, dict(pairs)


def _check_parameters(parameters: Mapping[str, str]) -> None:
    for key in parameters:
        if key in REFUSED_PARAMETERS:
            raise InvalidConnectionURL(
                f"The connection URL can't set {key}, because deployctl sets it. Remove it."
            )
        # A mistyped sslmode must not silently become an unencrypted connection.
        if key not in environment_names() and key not in APPLICATION_PARAMETERS:
            raise InvalidConnectionURL(
                f"The connection URL has the unknown parameter {key}. Correct or remove it."
            )


def _required(values: Mapping[str, str], key: str, label: str) -> str:
    value = values.get(key, "")
    if not value:
        raise InvalidConnectionURL(
            f"The connection URL has no {label}. Write it as postgresql://user:password@host:5432/database."
        )
    if key == "host" and "," in value:
        raise InvalidConnectionURL("The connection URL names more than one server. Name only the primary.")
    return value


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise InvalidConnectionURL(
            f"The connection URL has the port {text!r}; it must be a number from 1 to 65535."
        )
    return int(text)
