"""`deployctl user`: add, list, enable and disable users."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts, print_rows
from deployctl.errors import InvalidInput

if TYPE_CHECKING:
    from deployctl.accounts.models import User

PERMISSIONS = ("viewer", "operator", "approver", "administrator")


@click.group()
def user() -> None:
    """Add, list, enable and disable users."""


@user.command()
@click.argument("email")
@click.option("--name", required=True, help="The full name, as shown beside signatures.")
@click.option(
    "--permission",
    "permissions",
    type=click.Choice(PERMISSIONS),
    multiple=True,
    help="A permission; can be repeated. Every user is a viewer.",
)
@click.option("--phone", default="", help="The phone number for emergency contacts.")
@click.option("--timezone", default="UTC", show_default=True, help="The time zone, such as Europe/Berlin.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@json_option
def add(
    *,
    email: str,
    name: str,
    permissions: tuple[str, ...],
    phone: str,
    timezone: str,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Add a user with a temporary password, which is printed once.

    The password is valid for three days and must be changed at the first sign-in.
    """
    _django.setup()
    from deployctl.accounts import temporary_passwords
    from deployctl.accounts.models import User
    from deployctl.accounts.roles import Permission

    password = _read_password() if password_stdin else temporary_passwords.generate()
    person = User.objects.create_person(
        email,
        name,
        password,
        permissions=[Permission(permission) for permission in permissions],
        phone=phone,
        timezone=timezone,
        by=_django.command_line_actor(),
        is_temporary=True,
    )
    facts: dict[str, object] = {
        "email": person.email,
        "name": person.name,
        "permissions": _permissions(person),
    }
    if not password_stdin:
        facts["password"] = password
    facts["password_valid_until"] = (
        person.temporary_password_until if as_json else _minute(person.temporary_password_until)
    )
    if not as_json:
        facts["permissions"] = ", ".join(_permissions(person))
    print_facts(facts, as_json=as_json)


@user.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the users with their permissions."""
    _django.setup()
    from deployctl.accounts.models import User

    rows = [
        {
            "email": person.email,
            "name": person.name,
            "permissions": _permissions(person) if as_json else ", ".join(_permissions(person)),
            "second_factor": person.is_enrolled,
            "active": person.is_active,
            "last_sign_in": person.last_login if as_json else _minute(person.last_login),
        }
        for person in User.objects.prefetch_related("grants").with_enrollment()
    ]
    columns = {
        "email": "e-mail",
        "name": "name",
        "permissions": "permissions",
        "second_factor": "second factor",
        "active": "active",
        "last_sign_in": "last sign-in",
    }
    empty = "There are no users yet. Add one with `deployctl user add EMAIL --name NAME`."
    print_rows(rows, columns=columns, as_json=as_json, empty=empty)


@user.command()
@click.argument("email")
def disable(email: str) -> None:
    """Disable a user and end their sessions. Their signatures and other records stay."""
    person = _find(email)
    person.disable(by=_django.command_line_actor())
    click.echo(f"{person.name} ({person.email}) is disabled and signed out everywhere.")


@user.command()
@click.argument("email")
def enable(email: str) -> None:
    """Re-enable a disabled user."""
    person = _find(email)
    person.enable(by=_django.command_line_actor())
    click.echo(f"{person.name} ({person.email}) is enabled and can sign in again.")


@user.command()
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def password(email: str, *, password_stdin: bool) -> None:
    """Set a temporary password for a user, which is printed once.

    The password is valid for three days and must be changed at the next sign-in.
    """
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError

    from deployctl.accounts import temporary_passwords

    person = _find(email)
    new = _read_password() if password_stdin else temporary_passwords.generate()
    try:
        validate_password(new, person)
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from None
    person.change_password(new, by=_django.command_line_actor(), is_temporary=True)
    click.echo(
        f"{person.name} ({person.email}) has a new temporary password and is signed out everywhere."
        f" It is valid until {_minute(person.temporary_password_until)} and must be changed at sign-in."
    )
    if not password_stdin:
        click.echo(new)


def _find(email: str) -> User:
    _django.setup()
    from deployctl.accounts.models import User

    person: User | None = User.objects.filter(email__iexact=email.strip()).first()
    if person is None:
        raise InvalidInput(f"No user has the e-mail address {email}. See `deployctl user list`.")
    return person


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _permissions(person: User) -> list[str]:
    return sorted(person.permissions) or ["viewer"]


def _minute(at: dt.datetime | None) -> str | None:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else None
