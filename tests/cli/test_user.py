"""`deployctl user`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from django.utils.dateparse import parse_datetime

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit.models import Entry
from deployctl.cli.user import user
from deployctl.errors import DeployctlError


def call(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(user, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def error_of(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(user, arguments, input=stdin)
    assert isinstance(result.exception, DeployctlError), result.output
    return str(result.exception)


ADD = ("add", "Nell@Example.org", "--name", "Nell New")


def test_a_user_is_added_with_a_password_that_is_printed_once(db: Any) -> None:
    shown = json.loads(call(*ADD, "--permission", "operator", "--permission", "approver", "--json"))
    added = User.objects.get()
    assert (added.email, added.name) == ("nell@example.org", "Nell New")
    assert added.check_password(shown["password"])
    assert added.may(Permission.OPERATOR)
    assert not added.may(Permission.ADMINISTRATOR)
    assert Entry.objects.last().actor_name.startswith("command line: ")


def test_a_password_set_by_command_is_temporary(db: Any) -> None:
    shown = json.loads(call(*ADD, "--json"))
    nell = User.objects.get()
    assert nell.temporary_password_until is not None
    assert parse_datetime(shown["password_valid_until"]) == nell.temporary_password_until.replace(
        microsecond=nell.temporary_password_until.microsecond // 1000 * 1000
    )
    nell.change_password("correct horse battery staple", by=nell)
    output = call("password", nell.email)
    nell.refresh_from_db()
    assert nell.temporary_password_until is not None
    assert f"valid until {nell.temporary_password_until:%Y-%m-%d %H:%M} UTC" in output


def test_a_password_from_standard_input_is_not_printed(db: Any) -> None:
    output = call(*ADD, "--password-stdin", stdin="correct horse battery staple\n")
    assert "horse" not in output
    assert User.objects.get().check_password("correct horse battery staple")


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("add", "nobody", "--name", "X"), "", "isn't a valid e-mail address"),
        (("add", "a@example.org", "--name", " "), "", "Enter a name"),
        (("add", "a@example.org", "--name", "Eve\u202enimdA"), "", "can't contain U+202E"),
        (
            ("add", "a@example.org", "--name", "Nell Longworth-Newcomer", "--password-stdin"),
            "nell longworth-newcomer\n",
            "too similar to the name",
        ),
        ((*ADD, "--password-stdin"), "short\n", "too short"),
        ((*ADD, "--password-stdin"), "", "too short"),
        ((*ADD, "--timezone", "Mars/Olympus"), "", "isn't a time zone"),
        (("disable", "nobody@example.org"), "", "No user has the e-mail address"),
    ],
)
def test_invalid_input_is_rejected_with_a_reason(
    db: Any, arguments: tuple[str, ...], stdin: str, words: str
) -> None:
    assert words in error_of(*arguments, stdin=stdin)
    assert not User.objects.exists()


def test_an_e_mail_address_is_unique_regardless_of_case(db: Any) -> None:
    call(*ADD)
    assert "already" in error_of("add", "NELL@example.ORG", "--name", "Other")


def test_users_are_listed(dba: User) -> None:
    assert "Dana Baker" in call("list")
    [row] = json.loads(call("list", "--json"))
    assert row["permissions"] == ["approver", "operator"]
    assert row["active"] is True


def test_a_user_is_disabled_and_enabled(dba: User) -> None:
    call("disable", dba.email)
    dba.refresh_from_db()
    assert not dba.is_active
    assert "is already disabled" in error_of("disable", dba.email)
    call("enable", dba.email)
    dba.refresh_from_db()
    assert dba.is_active


def test_a_lost_password_is_replaced(dba: User) -> None:
    new = call("password", dba.email).splitlines()[-1]
    dba.refresh_from_db()
    assert dba.check_password(new)


def test_a_new_password_cannot_be_the_name(db: Any) -> None:
    call("add", "nell@example.org", "--name", "Nell Longworth-Newcomer")
    stdin = "nell longworth-newcomer\n"
    assert "too similar to the name" in error_of(
        "password", "nell@example.org", "--password-stdin", stdin=stdin
    )
