"""`deployctl gate`: report GO or NO-GO for a gate by exit status, for pipelines."""

from __future__ import annotations

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_json
from deployctl.errors import InvalidInput

NO_GO, NOT_SIGNED = 3, 4


@click.command()
@click.argument("deployment", type=click.IntRange(1))
@click.option("--stage", type=click.Choice(["pre", "post"]), required=True, help="The gate.")
@click.option("--signed", is_flag=True, help="Also require that the gate is fully signed.")
@json_option
def gate(*, deployment: int, stage: str, signed: bool, as_json: bool) -> None:
    """Report GO or NO-GO for a gate by exit status.

    \b
    Exit status:
      0  GO: no blockers; with --signed, the gate is also fully signed
      1  the state could not be determined
      2  usage error
      3  NO-GO: there are blockers, or the deployment is halted, rolled back or cancelled
      4  with --signed: no blockers, but the gate is not fully signed
    """
    _django.setup()
    from checklists.models import Deployment
    from signoff import verdict

    found = Deployment.objects.select_related("target").filter(pk=deployment).first()
    if found is None:
        raise InvalidInput(f"There is no deployment {deployment}. See `deployctl deployment list --all`.")
    result = verdict.of(found, stage)
    if as_json:
        print_json(result.as_json())
    else:
        is_signed = "signed" if result.signed else "not signed"
        click.echo(f"{result.word}: {result.title}, stage {stage}, {is_signed}")
        for blocker in result.blockers:
            click.echo(f"  {blocker['sentence']}")
    if not result.go:
        raise SystemExit(NO_GO)
    if signed and not result.signed:
        raise SystemExit(NOT_SIGNED)
