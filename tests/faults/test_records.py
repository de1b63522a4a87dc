"""The audit log in the hands of somebody who may do everything to the database."""

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
    """Who is refused nothing: as a replica, a session runs no ordinary trigger."""
    there = urlsplit(url)._replace(path=f"/{database.name}").geturl()
    with psycopg.connect(there, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        yield session


@pytest.mark.fault(27)
def test_what_even_a_superuser_does_to_the_audit_log_is_found(
    committed_db: Committed, postgres_superuser_url: str, seen: Seen
) -> None:
    for number in range(ENTRIES):
        with transaction.atomic():
            audit.append(Action.PERSON_EDITED, by=Machine("test"), data={"number": number})
    # Kept elsewhere, as whoever keeps heads does.
    head = json.loads(CliRunner().invoke(command, ["verify", "--json"]).output)["head"]

    for statement in ("UPDATE audit_entry SET actor_name = 'Nobody'", "DELETE FROM audit_entry"):
        with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"):
            cursor.execute(statement)
    assert Entry.objects.count() == ENTRIES + 1, "the verification is one, too"

    with superuser(committed_db, postgres_superuser_url) as session:
        session.execute("DELETE FROM audit_entry WHERE sequence > 6")
        cut = CliRunner().invoke(command, ["verify", "--expect-head", f"{head['sequence']}:{head['hash']}"])
        assert CliRunner().invoke(command, ["verify"]).exit_code == 0, "a shorter chain is a chain"
        session.execute("UPDATE audit_entry SET data = '{}' WHERE sequence IN (3, 5)")
        changed = CliRunner().invoke(command, ["verify"])
    assert cut.exit_code == changed.exit_code == 1
    assert "The end of the chain is missing" in cut.stderr
    assert "Entry 3 was changed" in changed.stderr
    seen(
        f"the application's role: refused; a superuser's: “{changed.stderr.strip()}”; "
        f"cut: “{cut.stderr.strip()}”"
    )
