"""`deployctl target`: add, list, show and check targets."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts, print_rows
from deployctl.errors import InvalidInput
from deployctl.text import pluralize

if TYPE_CHECKING:
    from deployctl.runs.models import Target

ENVIRONMENTS = ("development", "staging", "production")
ROLES = ("dba", "devops_lead", "cto", "app_team_lead", "qa_lead", "on_call")


@click.group()
def target() -> None:
    """Add, list, show and check targets."""


@target.command()
@click.argument("name")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), required=True, help="The environment.")
@click.option(
    "--connection",
    "reference",
    required=True,
    metavar="REFERENCE",
    help="Where to read the connection URL from: env:NAME or file:/path. Not the URL itself.",
)
@click.option(
    "--project", default="", metavar="FOLDER", help="The project folder, which contains deployctl.toml."
)
@click.option("--description", default="", help="A one-line description.")
@json_option
def add(
    *, name: str, environment: str, reference: str, project: str, description: str, as_json: bool
) -> None:
    """Add a target. This doesn't connect to it; `deployctl target check` does."""
    _django.setup()
    from deployctl.runs.models import Target

    added = Target.add(
        name=name,
        environment=environment,
        connection_reference=reference,
        project_folder=project,
        description=description,
        by=_django.command_line_actor(),
    )
    print_facts(_facts(added), as_json=as_json)


@target.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List the targets."""
    _django.setup()
    from deployctl.runs.models import Target

    print_rows(
        [_facts(one) for one in Target.objects.current()],
        columns={"name": "name", "environment": "environment", "description": "description"},
        as_json=as_json,
        empty="There are no targets yet. Add one with `deployctl target add`.",
    )


@target.command()
@click.argument("name")
@json_option
def show(*, name: str, as_json: bool) -> None:
    """Show the stored facts about a target, without connecting to it."""
    found = _found(name)
    from deployctl.runs.models import PhysicalEngine

    facts: dict[str, Any] = _facts(found)
    people = [
        {"name": held.user.name, "email": held.user.email, "role": held.role}
        for held in found.role_assignments
    ]
    secrets = {secret.name: secret.reference for secret in found.secrets.all()}
    engine = PhysicalEngine.objects.filter(target=found).first()
    newest_run, newest_backup = found.runs.first(), found.backups.first()
    facts |= {
        "cluster": found.system_identifier or None,
        "database_oid": found.database_oid,
        "people": people
        if as_json
        else ", ".join(f"{one['name']} ({one['role']})" for one in people) or None,
        "secrets": secrets if as_json else ", ".join(secrets) or None,
        "physical_engine": (engine.facts() if as_json else engine.stanza) if engine else None,
        "newest_run": f"{newest_run.kind}, {newest_run.state}" if newest_run else None,
        "newest_backup": newest_backup.name if newest_backup else None,
    }
    print_facts(facts, as_json=as_json)


@target.command()
@click.argument("name")
@json_option
def check(*, name: str, as_json: bool) -> None:
    """Connect to a target and show what was found.

    The exit status is 1 if the target can't be reached or is a different database than before.
    """
    found = _found(name)
    from deployctl.runs import connection_check

    facts = connection_check.check(found)
    print_facts(dataclasses.asdict(facts), as_json=as_json)
    if facts.identity_differs:
        raise click.ClickException(
            f"This isn't the database that {found} was at the first connection. Check its connection URL."
        )


@target.command()
@click.argument("name")
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
def assign(*, name: str, email: str, role: str) -> None:
    """Assign a role for a target to a user, for contacts and signatures."""
    found = _found(name)
    from deployctl.accounts.models import User

    person = User.objects.filter(email__iexact=email, is_active=True).first()
    if person is None:
        raise InvalidInput(f"No active user has the e-mail address {email}. See `deployctl user list`.")
    found.assign(person, role, by=_django.command_line_actor())
    click.echo(f"{person.name} now has the role {role} for {found}.")


@target.command()
@click.argument("name")
@click.argument("secret")
@click.argument("reference", required=False)
@click.option(
    "--stdin", "stored", is_flag=True, help="Read the value from standard input and store it encrypted."
)
def secret(*, name: str, secret: str, reference: str | None, stored: bool) -> None:
    """Set where operations read a secret from, such as env:NAME or file:/path.

    With --stdin instead of a reference, the value is read from standard input and stored encrypted in
    deployctl's own database.
    """
    if stored == (reference is not None):
        raise click.UsageError("Give either a reference or --stdin.")
    found = _found(name)
    if reference is None:
        from deployctl.runs.models import StoredSecret

        value = sys.stdin.read()
        reference = StoredSecret.store(found, secret, value, by=_django.command_line_actor()).reference
    else:
        found.set_secret_reference(secret, reference, by=_django.command_line_actor())
    click.echo(f"{found} now reads {secret} from {reference}.")


@target.command()
@click.argument("name")
@click.option("--stanza", metavar="STANZA", help="The pgBackRest stanza of the target's cluster.")
@click.option("--configuration", default="", metavar="FILE", help="The configuration file of pgBackRest.")
@click.option(
    "--scratch",
    default="",
    metavar="FOLDER",
    help="A folder for test restores, with enough space for the whole cluster.",
)
@click.option("--remove", is_flag=True, help="Remove the stanza from the target; backups stay.")
def physical(*, name: str, stanza: str | None, configuration: str, scratch: str, remove: bool) -> None:
    """Set the pgBackRest stanza of a target. Check it with `deployctl run physical_check`."""
    if remove == (stanza is not None):
        raise click.UsageError("Give either --stanza or --remove.")
    found = _found(name)
    from deployctl.runs.models import PhysicalEngine

    if stanza is None:
        PhysicalEngine.remove(found, by=_django.command_line_actor())
        click.echo(f"{found} no longer has a pgBackRest stanza.")
        return
    PhysicalEngine.set(
        found,
        stanza=stanza,
        configuration=configuration,
        scratch_folder=scratch,
        by=_django.command_line_actor(),
    )
    click.echo(f"{found} now has the pgBackRest stanza {stanza}.")


@target.command("rotate-secrets")
def rotate_secrets() -> None:
    """Re-encrypt every stored secret with the first key of DEPLOYCTL_FIELD_KEY."""
    _django.setup()
    from deployctl.runs.models import StoredSecret

    count = StoredSecret.rotate(by=_django.command_line_actor())
    click.echo(f"Re-encrypted {pluralize(count, 'stored secret')} with the newest key.")


def _found(name: str) -> Target:
    _django.setup()
    from deployctl.runs.models import Target

    return Target.objects.by_name(name)


def _facts(target: Target) -> dict[str, Any]:
    return {**target.facts(), "created_at": target.created_at, "created_by": target.created_by_name}
