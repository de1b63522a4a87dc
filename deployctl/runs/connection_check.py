"""Check the connection to a target, and compare the identity of its database."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from deployctl.postgres.diagnosis import POOLER_ADVICE
from deployctl.postgres.queries import server
from deployctl.postgres.queries.server import Encryption
from deployctl.postgres.queries.session import is_pooled
from deployctl.postgres.short_session import short_session
from deployctl.runs.models import Target

STATEMENT_TIMEOUT_S = 5
WITHIN_S = 15


@dataclass(frozen=True)
class ConnectionFacts:
    """The result of a connection check.

    `identity_differs` is True if the database isn't the one that was recorded first. `pooler` says what a
    connection pooler prevents; "" if there is none.
    """

    address: str
    version: str
    encryption: str
    role: str
    is_superuser: bool
    size_bytes: int
    latency_ms: float
    identity_differs: bool
    pooler: str


def check(target: Target) -> ConnectionFacts:
    """Connect and read facts about the server. The first check records the identity of the database.

    Raises:
        CannotConnect, SecretError, InvalidConnectionURL, InvalidInput: the connection fails.
    """
    spec = target.spec()
    with short_session(
        spec,
        within_s=WITHIN_S,
        application_name="deployctl check",
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        read_only=True,
        behind_pooler=True,
    ) as session:
        pooled = is_pooled(session)
        tls, role, identity = server.encryption(session), server.role(session), server.identity(session)
        return ConnectionFacts(
            address=spec.redacted,
            version=server.facts(session).version,
            encryption=_encryption(session, tls, pooled=pooled),
            role=role.name,
            is_superuser=role.superuser,
            size_bytes=server.database_size(session),
            latency_ms=server.latency_ms(session),
            identity_differs=not target.check_identity(
                identity.system_identifier or "", identity.database_oid
            ),
            pooler=f"The connection goes through a pooler such as PgBouncer. {POOLER_ADVICE}"
            if pooled
            else "",
        )


def _encryption(session: psycopg.Connection, tls: Encryption, *, pooled: bool) -> str:
    """Return the encryption of our session; behind a pooler, the server only knows the pooler's."""
    if pooled:
        return "TLS up to the pooler" if session.pgconn.ssl_in_use else "none"
    return f"{tls.protocol}, {tls.cipher}" if tls.used else "none"
