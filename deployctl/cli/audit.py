"""`deployctl audit`: read the audit chain, and verify that nobody tampered with it."""

from __future__ import annotations

import getpass
from dataclasses import asdict

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_json, print_rows
from deployctl.errors import InvalidInput

HASH_LENGTH = 64


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


@audit.command()
@click.option(
    "--expect-head",
    metavar="NUMBER:HASH",
    help="A head noted earlier; shows whether entries after it are missing or all were rewritten.",
)
@json_option
def verify(*, expect_head: str | None, as_json: bool) -> None:
    """Verify the whole chain; exit status 1 names the first broken entry."""
    _django.setup()
    from deployctl.audit import Machine
    from deployctl.audit.models import Verification
    from deployctl.audit.verification import Head

    expected = Head(*_parse_head(expect_head)) if expect_head else None
    found = Verification.objects.perform(
        by=Machine(f"command line: {getpass.getuser()}"), expected_head=expected
    )
    if as_json:
        head = asdict(Head(found.checked, found.head_hash))
        print_json(
            {
                "ok": found.ok,
                "checked": found.checked,
                "first_broken_sequence": found.first_broken_sequence,
                "reason": found.reason,
                "head": head,
            }
        )
    elif found.ok:
        click.echo(f"The chain is intact: {found.checked} entries, head {found.checked}:{found.head_hash}")
    else:
        click.echo(
            f"The chain is broken. {found.reason} The {found.checked} entries before are intact.", err=True
        )
    if not found.ok:
        raise SystemExit(1)


@audit.command("list")
@click.option("--action", default="", help="An action such as item.waived, or its beginning, such as item.")
@click.option("--person", default="", help="A part of the name of who did it.")
@click.option("--deployment", type=click.IntRange(min=1), help="The number of a deployment.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many, newest first."
)
@json_option
def list_(*, action: str, person: str, deployment: int | None, limit: int, as_json: bool) -> None:
    """List entries, newest first."""
    _django.setup()
    from deployctl.audit.models import Entry

    found = Entry.objects.filter(action__startswith=action, actor_name__icontains=person)
    if deployment is not None:
        found = found.of_deployment(deployment)
    fields = ("sequence", "at", "actor_name", "action", "subject", "deployment_id", "data", "hash")
    rows = list(found.values(*fields)[:limit])
    if not as_json:
        for row in rows:
            row["at"] = f"{row['at']:%Y-%m-%d %H:%M:%S} UTC"
    columns = {"sequence": "no.", "at": "when", "actor_name": "who", "action": "what", "subject": "subject"}
    print_rows(rows, columns=columns, as_json=as_json, empty="No entry fits.")


def _parse_head(text: str) -> tuple[int, str]:
    number, _, digest = text.strip().partition(":")
    if not number.isdecimal() or len(digest) != HASH_LENGTH:
        raise InvalidInput(
            f"{text!r} is not a head; it reads NUMBER:HASH, as `deployctl audit verify` prints it."
        )
    return int(number), digest.lower()
