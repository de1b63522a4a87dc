"""`deployctl audit`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db import connection

from deployctl.accounts.models import User
from deployctl.cli.audit import audit
from deployctl.errors import InvalidInput


def call(*arguments: str) -> Result:
    return CliRunner().invoke(audit, arguments)


def test_verify_prints_the_number_of_entries(dba: User) -> None:
    result = call("verify")
    assert result.exit_code == 0
    assert "intact: 3 entries" in result.output


def test_verify_accepts_the_head_that_it_printed(dba: User) -> None:
    head = json.loads(call("verify", "--json").output)["head"]
    result = call("verify", "--expect-head", f"{head['sequence']}:{head['hash']}")
    assert result.exit_code == 0


def test_verify_detects_a_cut_off_end_with_an_earlier_head(dba: User) -> None:
    result = call("verify", "--expect-head", f"99:{'a' * 64}")
    assert result.exit_code == 1
    assert "entry 99 was the head earlier" in result.stderr


def test_verify_reports_the_first_broken_entry(dba: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        cursor.execute("UPDATE audit_entry SET subject = 'x' WHERE sequence = 2")
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")
    result = call("verify", "--json")
    assert result.exit_code == 1
    verification = json.loads(result.output)
    assert (verification["ok"], verification["first_broken_sequence"]) == (False, 2)


@pytest.mark.parametrize("head", ["", "x", "5", "5:abc", f"-1:{'a' * 64}"])
def test_an_invalid_head_is_rejected(db: Any, head: str) -> None:
    result = call("verify", "--expect-head", head or " ")
    assert isinstance(result.exception, InvalidInput)


def test_entries_are_listed_by_action_and_person(dba: User) -> None:
    output = call("list", "--action", "permission.").output
    assert output.count("permission.granted") == 2
    assert "person.created" not in output
    assert "No entries match." in call("list", "--person", "nobody").output
    rows = json.loads(call("list", "--json").output)
    assert [row["sequence"] for row in rows] == [3, 2, 1]
