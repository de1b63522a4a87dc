"""Turn a failed connection attempt into a reason and a message with the next step.

libpq reports failures before authentication only as text, so the reason is derived from that text. A server
that doesn't answer in English gets the general message, which quotes it.
"""

from __future__ import annotations

import enum
import re

import psycopg

from deployctl.errors import DeployctlError
from deployctl.postgres import privileges


class Reason(enum.StrEnum):
    """The reason why a session could not be opened."""

    REFUSED = "refused"
    UNKNOWN_HOST = "unknown_host"
    TIMEOUT = "timeout"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason, not a password
    NO_SUCH_ROLE = "no_such_role"
    NO_SUCH_DATABASE = "no_such_database"
    NOT_ALLOWED = "not_allowed"
    NOT_POSTGRESQL = "not_postgresql"
    TLS = "tls"
    FULL = "full"
    STARTING = "starting"
    POOLER = "pooler"
    OTHER = "other"


class CannotConnect(DeployctlError):
    """A session could not be opened; nothing was changed on the server."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# Phrase in libpq's or the server's message → reason. The first match wins, so order matters: for a host with
# two addresses, the message contains a failure for each.
PHRASES: tuple[tuple[str, Reason], ...] = (
    ("password authentication failed", Reason.WRONG_PASSWORD),
    ("no password supplied", Reason.WRONG_PASSWORD),
    ("peer authentication failed", Reason.NOT_ALLOWED),
    ("ident authentication failed", Reason.NOT_ALLOWED),
    ("no pg_hba.conf entry", Reason.NOT_ALLOWED),
    ("pg_hba.conf rejects", Reason.NOT_ALLOWED),
    ("permission denied for database", Reason.NOT_ALLOWED),
    ("is not permitted to log in", Reason.NOT_ALLOWED),
    ("not currently accepting connections", Reason.NOT_ALLOWED),
    # PgBouncer (client.c and objects.c) rejects the options that our programs send.
    ("unsupported startup parameter", Reason.POOLER),
    ("no such database", Reason.NO_SUCH_DATABASE),
    ("no more connections allowed", Reason.FULL),
    ("query_wait_timeout", Reason.FULL),
    ("too many clients", Reason.FULL),
    ("too many connections", Reason.FULL),
    ("remaining connection slots", Reason.FULL),
    ("system is starting up", Reason.STARTING),
    ("system is shutting down", Reason.STARTING),
    ("in recovery mode", Reason.STARTING),
    ("invalid response to ssl negotiation", Reason.NOT_POSTGRESQL),
    ("unencrypted data after ssl response", Reason.NOT_POSTGRESQL),
    ("sent an error response during ssl exchange", Reason.NOT_POSTGRESQL),
    ("expected authentication request", Reason.NOT_POSTGRESQL),
    ("invalid authentication request", Reason.NOT_POSTGRESQL),
    ("wrong version number", Reason.NOT_POSTGRESQL),
    ("packet length too long", Reason.NOT_POSTGRESQL),
    ("server closed the connection unexpectedly", Reason.NOT_POSTGRESQL),
    ("invalid sslmode", Reason.TLS),
    ("does not support ssl", Reason.TLS),
    ("certificate", Reason.TLS),
    ("ssl error", Reason.TLS),
    ("failed to resolve host", Reason.UNKNOWN_HOST),
    ("could not translate host name", Reason.UNKNOWN_HOST),
    ("connection refused", Reason.REFUSED),
    ("no such file or directory", Reason.REFUSED),
    ("timeout expired", Reason.TIMEOUT),
    ("timed out", Reason.TIMEOUT),
)

# Appended to a sentence that says that the address belongs to a pooler.
POOLER_ADVICE = (
    "Session settings, advisory locks, prepared statements, LISTEN, application names and pg_dump don't work "
    "through a pooler, because it shares sessions between clients. Put the address of PostgreSQL itself into "
    "the target's connection URL; the application can keep using the pooler."
)

MESSAGES: dict[Reason, str] = {
    Reason.REFUSED: (
        "Nothing accepts connections at {place}. Check the host and port, and that PostgreSQL listens there."
    ),
    Reason.UNKNOWN_HOST: "The host name {host} can't be resolved. Check its spelling and the DNS.",
    Reason.TIMEOUT: (
        "{place} didn't answer in time. Check the host and port, and whether a firewall is in between."
    ),
    Reason.WRONG_PASSWORD: (
        "{place} rejected the password of role {user}. Check the secret that holds the connection URL."
    ),
    Reason.NO_SUCH_ROLE: (
        "{place} has no role {user}. Create it (CREATE ROLE {role} LOGIN;) or correct the connection URL."
    ),
    Reason.NO_SUCH_DATABASE: (
        "{place} has no database {dbname}. "
        "Create it with the operation “Create database” or correct the connection URL."
    ),
    Reason.NOT_ALLOWED: "{place} doesn't let role {user} connect to database {dbname}: {detail}.",
    Reason.NOT_POSTGRESQL: (
        "The server at {place} doesn't speak the PostgreSQL protocol. Check the host and port."
    ),
    Reason.TLS: "Could not open an encrypted connection to {place}: {detail}.",
    Reason.FULL: "{place} has no free connections: {detail}. Try again when sessions have ended.",
    Reason.STARTING: "{place} is starting or shutting down: {detail}. Try again in a moment.",
    Reason.POOLER: "{place} is a connection pooler, not PostgreSQL itself. " + POOLER_ADVICE,
    Reason.OTHER: "Could not connect to {place}: {detail}.",
}


def reason_of(message: str) -> Reason:
    """Return the reason that a message of libpq or the server gives."""
    text = message.lower()
    if "does not exist" in text and "fatal:" in text:  # without FATAL, a local certificate file is missing
        # `database "…" does not exist` or `role "…" does not exist`. The name may contain anything, so only
        # the word after FATAL counts.
        return Reason.NO_SUCH_ROLE if "fatal:  role" in text else Reason.NO_SUCH_DATABASE
    return next((reason for phrase, reason in PHRASES if phrase in text), Reason.OTHER)


def pooled(host: str, port: int) -> CannotConnect:
    """Return the error for an address that belongs to a pooler."""
    sentence = MESSAGES[Reason.POOLER].format(place=f"{host}:{port}")
    return CannotConnect(Reason.POOLER, f"{sentence} Nothing was done.")


def diagnose(error: psycopg.Error, host: str, port: int, user: str, dbname: str) -> CannotConnect:
    """Return the error for a failed connection attempt.

    Args:
        error: raised by psycopg; its text never contains the password.
        host, port, user, dbname: of the attempt.
    """
    message = str(error)
    reason = reason_of(message)
    sentence = MESSAGES[reason].format(
        place=f"{host}:{port}",
        host=host,
        user=user,
        dbname=dbname,
        detail=_detail(message),
        role=privileges.quote_name(user),
    )
    if reason is Reason.NOT_ALLOWED:
        sentence = f"{sentence} {_access_hint(message, user, dbname)}"
    return CannotConnect(reason, sentence)


def _access_hint(message: str, user: str, dbname: str) -> str:
    if "pg_hba.conf" in message:
        return "Add a line for this database, role and client address to its pg_hba.conf."
    if "authentication failed" in message:
        return (
            "Its pg_hba.conf requires an operating system account of that name; "
            "set it to password authentication."
        )
    if "not currently accepting connections" in message:
        return (
            "Its owner can allow connections with: "
            f"ALTER DATABASE {privileges.quote_name(dbname)} ALLOW_CONNECTIONS true;"
        )
    # The server writes the name in quotes; `grant_hint` expects it without.
    unquoted = re.sub(r'(permission denied for database) "(.*)"', r"\1 \2", message)
    return privileges.grant_hint(unquoted, user, changes=False)


def _detail(message: str) -> str:
    """Return the server's last message, on one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = next(
        (line for line in reversed(lines) if "FATAL:" in line or "failed:" in line), lines[0] if lines else ""
    )
    return (
        last.rpartition("FATAL:")[2].rpartition(" failed: ")[2].strip().rstrip(".") or "no reason was given"
    )
