"""Why a session could not be opened, in words.

libpq reports failures before authentication only as text, so the text is what is looked at. A server that
answers in another language than English falls through to the general sentence, which quotes it.
"""

from __future__ import annotations

import enum
import re

import psycopg

from deployctl.errors import DeployctlError
from deployctl.postgres import privileges


class Reason(enum.StrEnum):
    """What stood in the way."""

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
    """No session could be opened; nothing was changed on the server."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# Phrase in libpq's or the server's message → reason; the first that occurs decides, so order matters:
# with a host that has two addresses, the message holds one failure for each.
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
    # PgBouncer's own words (its client.c and objects.c): it refuses the options that our programs send.
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

# What a pooler prevents, and what to do; goes on after a sentence that says that there is one.
POOLED = (
    "It lends sessions of the server to one client after the other, so that settings, advisory locks, "
    "prepared statements, LISTEN and the name of a session belong to nobody, and pg_dump does not run "
    "through it. Put the address of PostgreSQL itself into the target's connection URL; the application may "
    "go on using the pooler."
)

SENTENCES: dict[Reason, str] = {
    Reason.REFUSED: (
        "Nothing accepts connections at {place}. Check host and port, and that PostgreSQL listens there."
    ),
    Reason.UNKNOWN_HOST: (
        "The host name {host} cannot be resolved. Check how it is written, and the name service."
    ),
    Reason.TIMEOUT: (
        "{place} did not answer in time. Check host and port, and whether a firewall stands between."
    ),
    Reason.WRONG_PASSWORD: (
        "{place} refuses the password of role {user}. Check the secret that holds the connection URL."
    ),
    Reason.NO_SUCH_ROLE: (
        "{place} has no role {user}. Create it (CREATE ROLE {role} LOGIN;) or correct the connection URL."
    ),
    Reason.NO_SUCH_DATABASE: (
        "{place} has no database {dbname}. "
        "Create it with the operation “Create database” or correct the connection URL."
    ),
    Reason.NOT_ALLOWED: "{place} does not let role {user} connect to database {dbname}: {detail}.",
    Reason.NOT_POSTGRESQL: (
        "What answers at {place} does not speak PostgreSQL's protocol. Check host and port."
    ),
    Reason.TLS: "No encrypted connection to {place} could be made: {detail}.",
    Reason.FULL: "{place} has no free connection left: {detail}. Try again when sessions have ended.",
    Reason.STARTING: "{place} is starting or shutting down: {detail}. Try again in a moment.",
    Reason.POOLER: "{place} is not PostgreSQL itself but a pooler in front of it. " + POOLED,
    Reason.OTHER: "No connection to {place} could be made: {detail}.",
}


def reason_of(message: str) -> Reason:
    """Tell the reason from what libpq wrote."""
    text = message.lower()
    if "does not exist" in text and "fatal:" in text:  # without FATAL it is a file on our side, of TLS
        # `database "…" does not exist` against `role "…" does not exist`; names are the user's, so the
        # word that follows FATAL decides.
        return Reason.NO_SUCH_ROLE if "fatal:  role" in text else Reason.NO_SUCH_DATABASE
    return next((reason for phrase, reason in PHRASES if phrase in text), Reason.OTHER)


def pooled(host: str, port: int) -> CannotConnect:
    """The refusal of a session that a pooler lends."""
    sentence = SENTENCES[Reason.POOLER].format(place=f"{host}:{port}")
    return CannotConnect(Reason.POOLER, f"{sentence} Nothing was done.")


def diagnose(error: psycopg.Error, host: str, port: int, user: str, dbname: str) -> CannotConnect:
    """Turn a failed connection attempt into a sentence.

    Args:
        error: what psycopg raised; its text never holds the password.
        host, port, user, dbname: where the attempt went.
    """
    message = str(error)
    reason = reason_of(message)
    sentence = SENTENCES[reason].format(
        place=f"{host}:{port}",
        host=host,
        user=user,
        dbname=dbname,
        detail=_detail(message),
        role=privileges.quote_name(user),
    )
    if reason is Reason.NOT_ALLOWED:
        sentence = f"{sentence} {_mend(message, user, dbname)}"
    return CannotConnect(reason, sentence)


def _mend(message: str, user: str, dbname: str) -> str:
    """What lets a role in that the server knows, but does not admit."""
    if "pg_hba.conf" in message:
        return "A line of its pg_hba.conf that names database, role and our address admits it."
    if "authentication failed" in message:
        return (
            "Its pg_hba.conf asks for the operating system's account of that name; ask for a password there."
        )
    if "not currently accepting connections" in message:
        return (
            f"Its owner opens it with: ALTER DATABASE {privileges.quote_name(dbname)} ALLOW_CONNECTIONS true;"
        )
    # psycopg writes the database's name in quotes, which are not part of it.
    said = re.sub(r'(permission denied for database) "(.*)"', r"\1 \2", message)
    return privileges.grant_hint(said, user, changes=False)


def _detail(message: str) -> str:
    """The last thing the other side said, on one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = next(
        (line for line in reversed(lines) if "FATAL:" in line or "failed:" in line), lines[0] if lines else ""
    )
    return (
        said.rpartition("FATAL:")[2].rpartition(" failed: ")[2].strip().rstrip(".") or "no reason was given"
    )
