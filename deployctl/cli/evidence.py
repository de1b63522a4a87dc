"""`deployctl evidence`: export the evidence of deployments."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts, print_rows
from deployctl.errors import InvalidInput

DAY = click.DateTime(["%Y-%m-%d"])
FORMATS = ("json", "pdf", "md")


@click.group()
def evidence() -> None:
    """Export the evidence of deployments.

    `deployctl verify` verifies exported evidence on any machine.
    """


@evidence.command()
@click.option("--deployment", type=click.IntRange(1), help="The number of a deployment.")
@click.option("--target", "target_name", help="All deployments of this target between --from and --to.")
@click.option("--from", "since", type=DAY, help="The first day (UTC) on which a window starts.")
@click.option("--to", "until", type=DAY, help="The last day (UTC) on which a window starts.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="For --deployment: pack (json), document (pdf) or checklist (md); can be repeated. Default: all.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder to write to; by default the current one.",
)
@json_option
def export(
    *,
    deployment: int | None,
    target_name: str | None,
    since: datetime | None,
    until: datetime | None,
    formats: tuple[str, ...],
    output: Path,
    as_json: bool,
) -> None:
    """Export the evidence of a deployment, or of a target's deployments in a period."""
    if (deployment is None) == (target_name is None):
        raise InvalidInput("Give either --deployment NUMBER, or --target NAME with --from and --to.")
    _django.setup()
    output.mkdir(parents=True, exist_ok=True)
    if deployment is not None:
        written = _one(deployment, formats or FORMATS, output)
    elif since is None or until is None:
        raise InvalidInput("A period needs both --from and --to. Nothing was exported.")
    else:
        written = [_period(target_name or "", since, until, output)]
    if as_json:
        print_facts({"files": [str(path) for path in written]}, as_json=True)
        return
    for path in written:
        click.echo(f"Wrote {path}.")


@evidence.command("list")
@click.option("--deployment", type=click.IntRange(1), help="Only packs of the deployment with this number.")
@json_option
def list_(*, deployment: int | None, as_json: bool) -> None:
    """List the exported evidence packs, newest first."""
    _django.setup()
    from signoff.models import EvidencePack

    found = EvidencePack.objects.all()
    if deployment is not None:
        found = found.filter(deployment=deployment)
    fields = ("deployment_id", "made_at", "by_name", "is_final", "size_bytes", "digest", "head", "problem")
    columns = {"deployment_id": "deployment", "made_at": "exported", "by_name": "by", "is_final": "final"}
    columns |= {"digest": "SHA-256"}
    empty = (
        "There are no evidence packs yet. Export one with `deployctl evidence export --deployment NUMBER`."
    )
    print_rows(found.values(*fields), columns=columns, as_json=as_json, empty=empty)


def _one(number: int, formats: tuple[str, ...], folder: Path) -> list[Path]:
    from checklists.models import Deployment
    from signoff.evidence import document, filled_checklist
    from signoff.models import EvidencePack

    found = Deployment.objects.filter(pk=number).first()
    if found is None:
        raise InvalidInput(f"There is no deployment {number}. Nothing was exported.")
    pack = EvidencePack.export(found, _django.command_line_actor())
    content = pack.content()
    written = []
    for kind in formats:
        path = folder / pack.file_name(kind)
        if kind == "json":
            path.write_bytes(content)
        elif kind == "pdf":
            path.write_bytes(document.render(json.loads(content), pack.digest))
        else:
            path.write_text(filled_checklist.render(json.loads(content), pack.digest), encoding="utf-8")
        written.append(path)
    return written


def _period(name: str, since: datetime, until: datetime, folder: Path) -> Path:
    from deployctl.runs.models import Target
    from signoff.evidence import period_archive

    target = Target.objects.by_name(name)
    path = folder / period_archive.file_name(target, since.date(), until.date())
    with (
        period_archive.archive(target, since.date(), until.date(), _django.command_line_actor()) as made,
        path.open("wb") as file,
    ):
        shutil.copyfileobj(made, file)
    return path
