"""`deployctl gate`: GO or NO-GO for a gate, with an exit status that a pipeline can branch on."""

from __future__ import annotations

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_json
from deployctl.errors import InvalidInput

NO_GO, NOT_SIGNED = 3, 4


@click.command()
@click.argument("deployment", type=click.IntRange(1))
@click.option(
    "--stage", type=click.Choice(["pre", "post"]), required=True, help="The first or the second gate."
)
@click.option("--signed", is_flag=True, help="Ask also that the gate is fully signed.")
@json_option
def gate(*, deployment: int, stage: str, signed: bool, as_json: bool) -> None:
    """Say GO or NO-GO for a gate, by exit status.

    \b
    0  GO: nothing is in the way; with --signed, and the gate is fully signed
    1  the question could not be answered
    2  the command was called in a wrong way
    3  NO-GO: something is in the way, or the deployment is halted, rolled back or cancelled
    4  with --signed: nothing is in the way, but the gate is not fully signed
    """
    _django.setup()
    from checklists.models import Deployment
    from signoff import verdict

    found = Deployment.objects.select_related("target").filter(pk=deployment).first()
    if found is None:
        raise InvalidInput(
            f"There is no deployment {deployment}. `deployctl deployment list --all` lists them."
        )
    said = verdict.of(found, stage)
    if as_json:
        print_json(said.as_json())
    else:
        click.echo(f"{said.word}: {said.title}, stage {stage}, {'signed' if said.signed else 'not signed'}")
        for blocker in said.blockers:
            click.echo(f"  {blocker['sentence']}")
    if not said.go:
        raise SystemExit(NO_GO)
    if signed and not said.signed:
        raise SystemExit(NOT_SIGNED)
