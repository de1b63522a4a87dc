"""Connect to the database, and report the server's version, encryption, privileges and size."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

import psycopg

from deployctl.operations.framework.base import Job, Json, Operation, Outcome
from deployctl.postgres.diagnosis import POOLER_ADVICE
from deployctl.postgres.queries import activity, databases, server, session

STATEMENT_TIMEOUT_S = 10


class Connect(Operation):
    """Open a session with the target's connection URL, and report the server's facts."""

    kind: ClassVar[str] = "connect"
    title: ClassVar[str] = "Verify connection"
    help: ClassVar[str] = (
        "Connects to the database and reports the server version, encryption, the role's privileges, size "
        "and latency. Changes nothing."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 60

    def perform(self, job: Job) -> Outcome:
        with job.step("Connect"):
            connection = job.connect(
                read_only=True, statement_timeout_s=STATEMENT_TIMEOUT_S, behind_pooler=True
            )
            job.log(f"Connected to {job.target.connection.redacted}.")
        with job.step("Read the server's facts"):
            facts = gather(connection)
        for name, value in facts.items():
            job.log(f"{name}: {value}")
        _warn(job, facts)
        return Outcome(summary=_summary(facts), facts=facts)


def gather(connection: psycopg.Connection) -> dict[str, Json]:
    """Return the facts about server, role and database by name."""
    about = server.facts(connection)
    pooled = session.is_pooled(connection)
    tls = server.encryption(connection)
    identity = server.identity(connection)
    database = databases.find(connection, identity.database)
    use = activity.connection_use(connection)
    return {
        "server_version": about.version,
        "server_version_number": about.version_number,
        "in_recovery": about.in_recovery,
        "pooler": pooled,
        # The server only sees its connection from the pooler, not ours to the pooler.
        "tls": bool(connection.pgconn.ssl_in_use) if pooled else tls.used,
        "tls_protocol": None if pooled else tls.protocol,
        "tls_cipher": None if pooled else tls.cipher,
        "role": asdict(server.role(connection)),
        "database": identity.database,
        "database_oid": identity.database_oid,
        "system_identifier": identity.system_identifier,
        "owner": database.owner if database else None,
        "encoding": database.encoding if database else None,
        "collate": database.collate if database else None,
        "size_bytes": server.database_size(connection),
        "latency_ms": server.latency_ms(connection),
        "connections_used": use.used,
        "connections_available": use.available,
        "max_connections": use.maximum,
    }


def _warn(job: Job, facts: dict[str, Json]) -> None:
    if facts["pooler"]:
        job.log(f"The connection goes through a pooler such as PgBouncer. {POOLER_ADVICE}", level="warning")
    if not facts["tls"]:
        job.log("The connection is not encrypted.", level="warning")
    if facts["in_recovery"]:
        job.log("The server is a read-only standby.", level="warning")
    if facts["system_identifier"] is None:
        job.log("The server's system identifier is unknown: the role can't read it.", level="warning")


def _summary(facts: dict[str, Json]) -> str:
    encrypted = f"encrypted with {facts['tls_protocol'] or 'TLS'}" if facts["tls"] else "not encrypted"
    summary = f"PostgreSQL {facts['server_version']} answers in {facts['latency_ms']} ms, {encrypted}."
    return f"{summary} The connection goes through a pooler. {POOLER_ADVICE}" if facts["pooler"] else summary
