"""`deployctl run KIND`: start an operation on a target. Each operation class becomes a command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations import catalogue
from deployctl.operations.framework.base import Operation
from deployctl.operations.framework.parameters import Parameter, parameters_of

if TYPE_CHECKING:
    from deployctl.runs.models import Run

FAILED, INVALID, REFUSED, OTHER, WAITING = 1, 2, 3, 4, 5
EXIT_STATUS = {"succeeded": 0, "failed": FAILED}  # every other outcome is OTHER
POLL_INTERVAL_S = 0.3
YES = click.Option(["--yes"], is_flag=True, help="Don't ask before overwriting data.")
EXIT_STATUS_HELP = """\b
Exit status:
  0  succeeded; without --wait: queued
  1  failed
  2  usage error
  3  refused: the target is busy, or the operation is not permitted
  4  cancelled or interrupted, or the outcome is unknown and needs a decision
  5  without --wait: waits for the consent of two people"""


class OperationGroup(click.Group):
    """A group with one command per operation of the catalogue."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the kinds of the operations."""
        return list(catalogue())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Create the command of an operation."""
        operation = catalogue().get(cmd_name)
        return None if operation is None else command_for(operation)


@click.group(cls=OperationGroup, epilog=EXIT_STATUS_HELP)
def run() -> None:
    """Start an operation on a target."""


def command_for(operation: type[Operation]) -> click.Command:
    """Return the command that starts an operation, with one option per parameter."""

    def start(*, target: str, wait: bool, as_json: bool, yes: bool = False, **params: Any) -> None:
        given = {name: value for name, value in params.items() if value is not None}
        requested = _request(operation, target, given, yes=yes)
        if not wait:
            _print(requested, as_json=as_json)
            if requested.is_waiting:
                click.echo(_consent_message(requested), err=True)
            raise SystemExit(WAITING if requested.is_waiting else 0)
        raise SystemExit(_wait(requested, as_json=as_json))

    command = click.command(operation.kind, help=operation.help, epilog=EXIT_STATUS_HELP)(json_option(start))
    command.params[:0] = [
        click.Option(["--target"], required=True, metavar="NAME", help="The target."),
        *(option_for(parameter) for parameter in parameters_of(operation.Params)),
        *([YES] if operation.overwrites else []),
        click.Option(["--wait"], is_flag=True, help="Show the log and wait for the outcome."),
    ]
    return command


def option_for(parameter: Parameter) -> click.Option:
    """Return the option of a parameter."""
    flag = "--" + parameter.name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}" if parameter.type is bool else flag, parameter.name]
    return click.Option(
        names,
        type=_type_of(parameter),
        required=parameter.required,
        # None if the option isn't given, so that the operation's own default applies.
        default=None,
        help=parameter.help
        if parameter.default in {None, ""}
        else f"{parameter.help} [default: {parameter.default}]",
    )


def _type_of(parameter: Parameter) -> click.ParamType[Any]:
    if parameter.type is bool:
        return click.BOOL
    if parameter.type is int:
        return click.IntRange(parameter.minimum, parameter.maximum)
    return click.Choice(parameter.choices) if parameter.choices else click.STRING


def _request(operation: type[Operation], target: str, params: dict[str, Any], *, yes: bool) -> Run:
    _django.setup()
    from deployctl.runs import preconditions
    from deployctl.runs.models import Run, Target

    try:
        found = Target.objects.by_name(target)
        confirmation = preconditions.confirmation(found, operation)
        # If two people must consent in the browser, they confirm there; --target must then be exact.
        needs_consent = confirmation is not None and confirmation.needs_second_person
        confirmed = yes or confirmation is None or needs_consent or _confirm(confirmation.text)
        return Run.request(
            target=found,
            kind=operation.kind,
            params=params,
            by=_django.command_line_actor(),
            # The name was typed, as --target.
            typed_name=(target if needs_consent else found.name) if confirmed else "",
        )
    except (Refusal, NotAllowed) as error:
        raise RunRefused(error.message) from error
    except InvalidInput as error:
        raise InvalidUsage(error.message) from error


def _confirm(text: str) -> bool:
    """Ask for confirmation on a terminal. Return False in a script, which must use --yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    if not click.confirm(f"{text} Continue?", err=True):
        raise InvalidUsage("Nothing was started.")
    return True


class RunRefused(click.ClickException):
    """The target is busy, or the operation is not permitted."""

    exit_code = REFUSED


class InvalidUsage(click.ClickException):
    """The arguments are invalid, or the user declined the confirmation."""

    exit_code = INVALID


def _wait(run: Run, *, as_json: bool) -> int:
    """Show the log until the run ends (with JSON, on standard error), and return the exit status."""
    try:
        for line in _lines(run):
            click.echo(line, err=as_json)
    except KeyboardInterrupt:
        # Ctrl-C ends the command, not the run, which a worker executes.
        click.echo(f"\nNo longer waiting. Run {run.pk} continues; cancel it at /runs/{run.pk}/.", err=True)
        return OTHER
    _print(run, as_json=as_json)
    return EXIT_STATUS.get(run.state, OTHER)


def _lines(run: Run) -> Iterator[str]:
    """Yield the state in which the run was accepted, then state changes and log lines until the run ends."""
    last_line, shown_state = 0, run.state
    yield _state_message(run)
    while True:
        run.refresh_from_db()
        ended = not run.is_unfinished  # read before the lines, so that none can be missed
        if run.state != shown_state and not ended:
            shown_state = run.state
            yield _state_message(run)
        for line in run.lines.filter(number__gt=last_line).order_by("number").iterator():
            last_line = line.number
            yield line.text
        if ended:
            return
        time.sleep(POLL_INTERVAL_S)


def _state_message(run: Run) -> str:
    if run.is_waiting:
        return _consent_message(run)
    suffix = " and waits for a free worker." if run.state == "queued" else "."
    return f"Run {run.pk} is {run.get_state_display().lower()}{suffix}"


def _consent_message(run: Run) -> str:
    # Two people must consent, because the person at the command line isn't identified.
    return (
        f"Run {run.pk} needs consent because {run.target} is a production target. {run.consents_missing} "
        f"operators must consent at /runs/{run.pk}/ by {run.consent_deadline:%H:%M %Z}."
    )


def _print(run: Run, *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "run": run.pk,
        "kind": run.kind,
        "target": run.target.name,
        "state": run.state,
        "summary": run.summary or None,
    }
    if as_json:
        facts |= {
            "params": run.params,
            "facts": run.facts,
            "requested_at": run.requested_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "duration_s": run.duration_s,
        }
    print_facts(facts, as_json=as_json)
