"""The operation “Verify connection”."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.connect import Connect
from deployctl.postgres.connection import CannotConnect, parse_url


def test_it_reports_the_server_the_role_and_the_database(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database())
    job = FakeJob(spec, tmp_path=tmp_path)

    outcome = Connect().perform(job)

    facts = outcome.facts
    assert outcome.summary.startswith(f"PostgreSQL {facts['server_version']} answers in ")
    assert (facts["database"], facts["owner"], facts["encoding"]) == (spec.dbname, spec.user, "UTF8")
    assert facts["role"] == {
        "name": spec.user,
        "superuser": False,
        "create_database": True,
        "create_role": False,
        "replication": False,
        "bypass_row_security": False,
        "connection_limit": -1,
    }
    assert facts["tls"] is False
    assert ("warning", "The connection is not encrypted.") in job.lines
    assert isinstance(facts["size_bytes"], int)
    assert facts["database_oid"]
    assert job.steps == [("Connect", "succeeded"), ("Read the server's facts", "succeeded")]


def test_the_password_is_not_in_the_log(make_database: Callable[..., str], tmp_path: Path) -> None:
    spec = parse_url(make_database())
    job = FakeJob(spec, tmp_path=tmp_path)

    outcome = Connect().perform(job)

    assert spec.password not in job.text
    assert spec.password not in repr(outcome)


def test_an_unreachable_server_fails_the_first_step(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    with socket.socket() as unused:  # reserves a port on which nothing listens
        unused.bind(("127.0.0.1", 0))
        unreachable = replace(parse_url(make_database()), port=unused.getsockname()[1])
        job = FakeJob(unreachable, tmp_path=tmp_path)

        with pytest.raises(CannotConnect, match="Nothing accepts connections"):
            Connect().perform(job)
    assert job.steps == [("Connect", "failed")]
