"""`deployctl deployment`: plan, list and show deployments."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployctl.cli import _django, _output
from deployctl.errors import InvalidInput

if TYPE_CHECKING:
    from checklists.models import Deployment, TemplateVersion
    from checklists.models.team import Seat
    from checklists.readiness import Blocker


@click.group()
def deployment() -> None:
    """Plan, list and show deployments."""


@deployment.command()
@click.option("--target", "target_name", required=True, help="Name of the target.")
@click.option(
    "--template",
    required=True,
    metavar="SLUG[@VERSION]",
    help="The template; by default its newest published version.",
)
@click.option("--title", required=True, help="A short description of the change.")
@click.option(
    "--window-start", required=True, metavar="TIME", help="Planned start, such as 2030-01-31T22:00+01:00."
)
@click.option(
    "--window-end", required=True, metavar="TIME", help="Planned end, such as 2030-01-31T23:30+01:00."
)
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="ROLE=EMAIL",
    help="A team member; can be repeated. By default the people of the target. Roles: "
    "dba, devops_lead, cto, app_team_lead, qa_lead, on_call.",
)
@click.option("--rollback-plan", metavar="TEXT", help="What to do if the deployment fails.")
@click.option(
    "--rollback-plan-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A text file with the rollback plan.",
)
@click.option("--notes", default="", help="Anything unusual about this deployment.")
@_output.json_option
def create(
    *,
    target_name: str,
    template: str,
    title: str,
    window_start: str,
    window_end: str,
    members: tuple[str, ...],
    rollback_plan: str | None,
    rollback_plan_file: Path | None,
    notes: str,
    as_json: bool,
) -> None:
    """Plan a deployment of a target from a published template."""
    start, end = _parse_time("--window-start", window_start), _parse_time("--window-end", window_end)
    plan = _plan(rollback_plan, rollback_plan_file)
    _django.setup()
    from checklists.models import Deployment
    from checklists.models.team import default_team
    from deployctl.runs.models import Target

    target = Target.objects.by_name(target_name)
    created = Deployment.create(
        target=target,
        template_version=_version(template),
        title=title,
        window_start=start,
        window_end=end,
        team=[_seat(member) for member in members] or default_team(target),
        rollback_plan=plan,
        notes=notes,
        by=_django.command_line_actor(),
    )
    _print(created, as_json=as_json)


@deployment.command(name="list")
@click.option("--all", "include_ended", is_flag=True, help="Include deployments that have ended.")
@click.option("--target", "target_name", help="Only deployments of this target.")
@_output.json_option
def list_(*, include_ended: bool, target_name: str | None, as_json: bool) -> None:
    """List the deployments that are planned or in progress, earliest window first."""
    _django.setup()
    from checklists import readiness
    from checklists.models import Deployment
    from deployctl.runs.models import Target

    found = Deployment.objects.for_page()
    found = found.order_by("-window_start", "-pk") if include_ended else found.next_first()
    if target_name:
        found = found.filter(target=Target.objects.by_name(target_name))
    listed = list(found)
    verdicts = readiness.next_gate_blockers(listed)
    rows = [_facts(one, verdicts[one.pk]) for one in listed]
    columns = {"number": "no.", "title": "title", "target": "target", "state": "state"}
    columns |= {"window_start": "window start", "blockers": "blockers"}
    empty = (
        "There are no deployments."
        if include_ended
        else "No deployments are planned or in progress. Use --all to include those that have ended."
    )
    if not as_json:
        rows = [row | {"blockers": len(row["blockers"])} for row in rows]
    _output.print_rows(rows, columns=columns, as_json=as_json, empty=empty)


@deployment.command()
@click.argument("number", type=click.IntRange(1))
@_output.json_option
def show(number: int, *, as_json: bool) -> None:
    """Show a deployment: its state, blockers and items."""
    _django.setup()
    from checklists.models import Deployment

    found = Deployment.objects.for_page().filter(pk=number).first()
    if found is None:
        raise InvalidInput(f"There is no deployment {number}. See `deployctl deployment list --all`.")
    _print(found, as_json=as_json)


def _print(found: Deployment, *, as_json: bool) -> None:
    from checklists import readiness
    from checklists.models import Item
    from checklists.presenters.deployment_page import REQUIRED_STAGES

    facts = _facts(found, readiness.next_gate_blockers([found])[found.pk])
    items = Item.objects.of_deployment(found.pk).select_related("section")
    facts["items"] = [
        {
            "number": item.pk,
            "phase": item.section.phase,
            "section": item.section.title,
            "stage": item.section.stage,
            "text": str(item),
            "state": item.state,
            "role": item.role,
            "due_at": item.due_at,
            "parent": item.parent_id,
        }
        for item in items
    ]
    if as_json:
        _output.print_json(facts)
        return
    shown = {name: value for name, value in facts.items() if name not in {"items", "blockers", "team"}}
    shown["team"] = ", ".join(f"{seat['name']} ({seat['role']})" for seat in facts["team"])
    parents = {item["parent"] for item in facts["items"]}
    counted = [item for item in facts["items"] if item["number"] not in parents]
    required = [item for item in counted if item["stage"] in REQUIRED_STAGES]
    if found.window_conflicts:
        shown["window_conflicts"] = ", ".join(f"{other} (no. {other.pk})" for other in found.window_conflicts)
    shown["items"] = _progress(counted)
    shown["required_items"] = _progress(required)
    _output.print_facts(shown, as_json=False)
    if facts["blockers"]:
        click.echo("\nBlockers of the next gate:")
        for blocker in facts["blockers"]:
            click.echo(f"  {blocker}")


def _progress(items: list[dict[str, Any]]) -> str:
    from checklists.models.item_state import OUTSTANDING

    return f"{sum(1 for item in items if item['state'] not in OUTSTANDING)} of {len(items)} done"


def _facts(found: Deployment, blockers: list[Blocker]) -> dict[str, Any]:
    return {
        "number": found.pk,
        "title": found.title,
        "target": found.target.name,
        "environment": found.target.environment,
        "template": f"{found.template_version.template.slug}@{found.template_version.number}",
        "state": found.state,
        "window_start": found.window_start,
        "window_end": found.window_end,
        "team": [
            {"name": seat.user.name, "email": seat.user.email, "role": seat.role} for seat in found.team.all()
        ],
        "created_by": found.created_by_name,
        "blockers": [blocker.sentence for blocker in blockers],
    }


def _parse_time(option: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise InvalidInput(
            f"{option} {text!r} isn't a date and time with an offset from UTC, such as "
            "2030-01-31T22:00+01:00. Nothing was created."
        )
    return time


def _plan(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise InvalidInput(
            "Give the rollback plan with either --rollback-plan or --rollback-plan-file. Nothing was created."
        )
    if file is None:
        return text or ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} can't be read as text: {error}. Nothing was created.") from error


def _version(text: str) -> TemplateVersion:
    from checklists.models import Template

    slug, _, number = text.partition("@")
    template = Template.objects.with_versions().filter(slug=slug).first()
    if template is None:
        known = ", ".join(Template.objects.values_list("slug", flat=True)) or "none"
        raise InvalidInput(f"There is no template {slug!r}; available: {known}. Nothing was created.")
    versions = {str(version.number): version for version in template.versions.all()}
    version = versions.get(number) if number else template.current
    if version is None:
        known = ", ".join(sorted(versions))
        problem = f"no version {number!r}; available: {known}" if number else "no published version"
        raise InvalidInput(f"Template {slug} has {problem}. Nothing was created.")
    return version


def _seat(text: str) -> Seat:
    from deployctl.accounts.models import User

    role, separator, email = text.partition("=")
    if not separator:
        raise InvalidInput(f"--member {text!r} isn't valid. Use ROLE=EMAIL, such as dba=ann@example.org.")
    person = User.objects.filter(email__iexact=email.strip()).first()
    if person is None:
        raise InvalidInput(
            f"No user has the e-mail address {email!r}. Nothing was created; see `deployctl user list`."
        )
    return person, role.strip()
