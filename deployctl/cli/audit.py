"""`deployctl audit`: read, verify, sign and export the audit log."""

from __future__ import annotations

from pathlib import Path

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts, print_json, print_rows
from deployctl.errors import InvalidInput
from deployctl.text import pluralize

HASH_LENGTH = 64


@click.group()
def audit() -> None:
    """Read, verify, sign and export the audit log."""


@audit.command()
@click.option(
    "--expect-head",
    metavar="NUMBER:HASH",
    help="An earlier head that the chain must still contain; detects removed or rewritten entries.",
)
@json_option
def verify(*, expect_head: str | None, as_json: bool) -> None:
    """Verify the whole chain, also against the heads in the anchor stores.

    The exit status is 1 if the chain is broken.
    """
    _django.setup()
    from deployctl.audit.models import Verification
    from deployctl.audit.verification import Head

    expected = Head(*_parse_head(expect_head)) if expect_head else None
    found = Verification.objects.perform(by=_django.command_line_actor(), expected_head=expected)
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "checked": found.checked,
                "first_broken_sequence": found.first_broken_sequence,
                "reason": found.reason,
                "head": {"sequence": found.checked, "hash": found.head_hash},
                "heads_compared": found.heads,
                "problems": found.problems,
            }
        )
    elif found.ok:
        click.echo(
            f"The chain is intact: {pluralize(found.checked, 'entry')}, "
            f"head {found.checked}:{found.head_hash}"
        )
        click.echo(f"Compared with {pluralize(found.heads, 'anchored head')}.")
    else:
        click.echo(
            f"The chain is broken. {found.reason} Intact before that: {pluralize(found.checked, 'entry')}.",
            err=True,
        )
    if not as_json:
        for problem in found.problems:
            click.echo(f"Warning: {problem}", err=True)
    if not found.ok:
        raise SystemExit(1)


@audit.command()
@click.option(
    "--no-export", is_flag=True, help="Only sign the head; don't write it to the stores in DEPLOYCTL_HEADS."
)
@json_option
def head(*, no_export: bool, as_json: bool) -> None:
    """Sign the current head, write it to the anchor stores and print it."""
    _django.setup()
    from deployctl.audit import anchor_stores
    from deployctl.audit.models import SignedHead

    signed = SignedHead.objects.sign()
    if not no_export:
        signed = anchor_stores.export(signed)
    if as_json:
        print_json(signed.signed)
        return
    facts = {
        "head": str(signed),
        "key": signed.fingerprint,
        "stored in": signed.exported_to or "the database only",
    }
    print_facts(facts, as_json=False)


@audit.command()
@click.option(
    "--pem", is_flag=True, help="Print PEM for other programs, instead of hexadecimal and fingerprint."
)
@json_option
def key(*, pem: bool, as_json: bool) -> None:
    """Print the public key that verifies signed heads and evidence packs."""
    _django.setup()
    from deployctl.audit import signed_statements, signing_keys

    public = signed_statements.public_of(signing_keys.signing_key())
    if pem:
        click.echo(signed_statements.public_pem(public), nl=False)
        return
    print_facts({"public_key": public, "fingerprint": signed_statements.fingerprint(public)}, as_json=as_json)


@audit.command()
@click.option(
    "--deployment", type=click.IntRange(min=1), help="Only entries of the deployment with this number."
)
@click.option("--action", default="", help="Only this action or prefix, such as item.waived or item.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default standard output.",
)
def export(*, deployment: int | None, action: str, output: Path | None) -> None:
    """Export entries as JSON lines, oldest first. `deployctl verify` checks the file on any machine."""
    _django.setup()
    from deployctl.audit import exports
    from deployctl.audit.models import Entry

    found = Entry.objects.filter(action__startswith=action)
    if deployment is not None:
        found = found.of_deployment(deployment)
    filters = {"action": action, "deployment": deployment}
    chunks = exports.export(
        found,
        by=_django.command_line_actor(),
        filters={name: value for name, value in filters.items() if value},
    )
    with click.open_file(str(output or "-"), "wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
    if output:
        click.echo(f"Wrote {output}. Check it with `deployctl verify {output}`.")


@audit.command()
@json_option
def privileges(*, as_json: bool) -> None:
    """Check whether deployctl's own database role could alter the audit log.

    The exit status is 1 if it could.
    """
    _django.setup()
    from deployctl.audit.privileges import audit_log_privileges

    found = audit_log_privileges()
    if as_json:
        print_json({"role": found.role, "can_alter": bool(found.reasons), "reasons": found.reasons})
    elif found.reasons:
        click.echo(f"The role {found.role} could alter the audit log:", err=True)
        for reason in found.reasons:
            click.echo(f"  {reason}", err=True)
        click.echo("docs/audit.md explains how to give the table another owner.", err=True)
    else:
        click.echo(f"The role {found.role} can only read the audit log and append to it.")
    if found.reasons:
        raise SystemExit(1)


@audit.command("list")
@click.option("--action", default="", help="Only this action or prefix, such as item.waived or item.")
@click.option("--person", default="", help="Only actors whose name contains this text.")
@click.option(
    "--deployment", type=click.IntRange(min=1), help="Only entries of the deployment with this number."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="The maximum number of entries.",
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
    columns = {
        "sequence": "no.",
        "at": "time",
        "actor_name": "actor",
        "action": "action",
        "subject": "subject",
    }
    print_rows(rows, columns=columns, as_json=as_json, empty="No entries match.")


def _parse_head(text: str) -> tuple[int, str]:
    number, _, digest = text.strip().partition(":")
    if not number.isdecimal() or len(digest) != HASH_LENGTH:
        raise InvalidInput(f"{text!r} isn't a head. Use NUMBER:HASH, as printed by `deployctl audit verify`.")
    return int(number), digest.lower()
