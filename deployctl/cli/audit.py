"""`deployctl audit`: read, verify, sign and export the audit log; who could alter it."""

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
    help="A head noted earlier; shows whether entries after it are missing or all were rewritten.",
)
@json_option
def verify(*, expect_head: str | None, as_json: bool) -> None:
    """Verify the whole chain, also against heads kept elsewhere; exit status 1 names what is broken."""
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
        click.echo(f"Compared with {pluralize(found.heads, 'signed head')} kept elsewhere.")
    else:
        click.echo(
            f"The chain is broken. {found.reason} Intact before it: {pluralize(found.checked, 'entry')}.",
            err=True,
        )
    if not as_json:
        for problem in found.problems:
            click.echo(f"Warning: {problem}", err=True)
    if not found.ok:
        raise SystemExit(1)


@audit.command()
@click.option(
    "--no-export", is_flag=True, help="Sign only; do not write it to the places of DEPLOYCTL_HEADS."
)
@json_option
def head(*, no_export: bool, as_json: bool) -> None:
    """Sign the end of the chain now, keep it elsewhere, and print it."""
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
        "kept in": signed.exported_to or "the database only",
    }
    print_facts(facts, as_json=False)


@audit.command()
@click.option(
    "--pem", is_flag=True, help="As PEM, for other programs; else hexadecimal with its fingerprint."
)
@json_option
def key(*, pem: bool, as_json: bool) -> None:
    """Print the public key that heads and evidence packs are signed with."""
    _django.setup()
    from deployctl.audit import signed_statements, signing_keys

    public = signed_statements.public_of(signing_keys.signing_key())
    if pem:
        click.echo(signed_statements.public_pem(public), nl=False)
        return
    print_facts({"public_key": public, "fingerprint": signed_statements.fingerprint(public)}, as_json=as_json)


@audit.command()
@click.option("--deployment", type=click.IntRange(min=1), help="Only entries of this deployment.")
@click.option("--action", default="", help="An action such as item.waived, or its beginning, such as item.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; else standard output."
)
def export(*, deployment: int | None, action: str, output: Path | None) -> None:
    """Write entries as JSON lines, oldest first; `deployctl verify` checks the file anywhere."""
    _django.setup()
    from deployctl.audit import exports
    from deployctl.audit.models import Entry

    found = Entry.objects.filter(action__startswith=action)
    if deployment is not None:
        found = found.of_deployment(deployment)
    said = {"action": action, "deployment": deployment}
    chunks = exports.export(
        found, by=_django.command_line_actor(), filters={name: value for name, value in said.items() if value}
    )
    with click.open_file(str(output or "-"), "wb") as stream:
        for chunk in chunks:
            stream.write(chunk)
    if output:
        click.echo(f"Written to {output}; check it with: deployctl verify {output}")


@audit.command()
@json_option
def privileges(*, as_json: bool) -> None:
    """Say whether deployctl's own database role could alter the audit log; exit status 1 when it could."""
    _django.setup()
    from deployctl.audit import privileges as asked

    found = asked.audit_log_privileges()
    if as_json:
        print_json(
            {"role": found.role, "audit_log_privileges": bool(found.reasons), "reasons": found.reasons}
        )
    elif found.reasons:
        click.echo(f"The role {found.role} could alter the audit log:", err=True)
        for reason in found.reasons:
            click.echo(f"  {reason}", err=True)
        click.echo("docs/audit.md shows how to give the table an owner of its own.", err=True)
    else:
        click.echo(f"The role {found.role} can add to the audit log and read it, nothing else.")
    if found.reasons:
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
