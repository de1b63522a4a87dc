"""Test that changes to the audit log by a superuser are detected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from click.testing import CliRunner
from django.db import DatabaseError, connection, transaction

from deployctl import audit
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.cli.audit import audit as command
from tests.conftest import Committed
from tests.faults.test_workers import Seen

ENTRIES = 8


@contextmanager
def superuser(database: Committed, url: str) -> Iterator[psycopg.Connection]:
    """Open a superuser's session in which ordinary triggers are disabled."""
    superuser_url = urlsplit(url)._replace(path=f"/{database.name}").geturl()
    with psycopg.connect(superuser_url, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        yield session


@pytest.mark.fault(27)
def test_changes_to_the_audit_log_by_a_superuser_are_detected(
    committed_db: Committed, postgres_superuser_url: str, seen: Seen
) -> None:
    for number in range(ENTRIES):
        with transaction.atomic():
            audit.append(Action.PERSON_EDITED, by=Machine("test"), data={"number": number})
    # A head that is stored outside the database.
    head = json.loads(CliRunner().invoke(command, ["verify", "--json"]).output)["head"]

    for statement in ("UPDATE audit_entry SET actor_name = 'Nobody'", "DELETE FROM audit_entry"):
        with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"):
            cursor.execute(statement)
    assert Entry.objects.count() == ENTRIES + 1, "the verification has an entry, too"

    with superuser(committed_db, postgres_superuser_url) as session:
        session.execute("DELETE FROM audit_entry WHERE sequence > 6")
        truncated = CliRunner().invoke(
            command, ["verify", "--expect-head", f"{head['sequence']}:{head['hash']}"]
        )
        assert CliRunner().invoke(command, ["verify"]).exit_code == 0, "a truncated chain is consistent"
        session.execute("UPDATE audit_entry SET data = '{}' WHERE sequence IN (3, 5)")
        changed = CliRunner().invoke(command, ["verify"])
    assert truncated.exit_code == changed.exit_code == 1
    assert "The end of the chain is missing" in truncated.stderr
    assert "Entry 3 was changed" in changed.stderr
    seen(
        f"the application's role: refused; changed by a superuser: “{changed.stderr.strip()}”; "
        f"truncated: “{truncated.stderr.strip()}”"
    )
