"""Looking at a target's database over a session of a moment: does it answer, and is it still the same one?"""

from __future__ import annotations

from dataclasses import dataclass

from deployctl.postgres.connection import connect
from deployctl.postgres.queries import server
from deployctl.runs.models import Target

STATEMENT_TIMEOUT_S = 5


@dataclass(frozen=True)
class ConnectionFacts:
    """What a target answered. `identity_differs`: another database than at the first look."""

    address: str
    version: str
    encryption: str
    role: str
    is_superuser: bool
    size_bytes: int
    latency_ms: float
    identity_differs: bool


def check(target: Target) -> ConnectionFacts:
    """Connect and look. The first look remembers which database it is, beyond its name.

    Raises:
        CannotConnect, SecretError, InvalidConnectionURL, InvalidInput: with what to do.
    """
    spec = target.spec()
    with connect(
        spec, application_name="deployctl check", statement_timeout_s=STATEMENT_TIMEOUT_S, read_only=True
    ) as session:
        tls, role, identity = server.encryption(session), server.role(session), server.identity(session)
        return ConnectionFacts(
            address=spec.redacted,
            version=server.facts(session).version,
            encryption=f"{tls.protocol}, {tls.cipher}" if tls.used else "none",
            role=role.name,
            is_superuser=role.superuser,
            size_bytes=server.database_size(session),
            latency_ms=server.latency_ms(session),
            identity_differs=not target.recognise(identity.system_identifier or "", identity.database_oid),
        )
