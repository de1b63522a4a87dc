"""`deployctl run KIND`: start an operation on a target; one command per operation, made from its class."""

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

FAILED, UNUSABLE, REFUSED, OTHERWISE, WAITING = 1, 2, 3, 4, 5
EXIT_STATUS = {"succeeded": 0, "failed": FAILED}  # every other end is OTHERWISE
LOOK_EVERY_S = 0.3
YES = click.Option(["--yes"], is_flag=True, help="Do not ask before something is overwritten.")
STATUSES = """\b
Exit status:
  0  succeeded; without --wait: accepted
  1  failed
  2  the command cannot be used so
  3  refused: somebody else is at it, or it is not permitted
  4  cancelled, interrupted, or nobody knows (a person decides)
  5  without --wait: it waits until two people have consented on its page"""


class Kinds(click.Group):
    """One command per operation of the catalogue."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The kinds."""
        return list(catalogue())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make the command of a kind."""
        operation = catalogue().get(cmd_name)
        return None if operation is None else command_for(operation)


@click.group(cls=Kinds, epilog=STATUSES)
def run() -> None:
    """Start an operation on a target."""


def command_for(operation: type[Operation]) -> click.Command:
    """The command that starts an operation, with one option per parameter."""

    def start(*, target: str, wait: bool, as_json: bool, yes: bool = False, **params: Any) -> None:
        given = {name: value for name, value in params.items() if value is not None}
        requested = _request(operation, target, given, yes=yes)
        if not wait:
            _print(requested, as_json=as_json)
            if requested.is_waiting:
                click.echo(_whom_it_waits_for(requested), err=True)
            raise SystemExit(WAITING if requested.is_waiting else 0)
        raise SystemExit(_wait(requested, as_json=as_json))

    command = click.command(operation.kind, help=operation.help, epilog=STATUSES)(json_option(start))
    command.params[:0] = [
        click.Option(["--target"], required=True, metavar="NAME", help="The target."),
        *(option_for(parameter) for parameter in parameters_of(operation.Params)),
        *([YES] if operation.overwrites else []),
        click.Option(["--wait"], is_flag=True, help="Show the log and wait for the end."),
    ]
    return command


def option_for(parameter: Parameter) -> click.Option:
    """The option of one parameter."""
    flag = "--" + parameter.name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}" if parameter.type is bool else flag, parameter.name]
    return click.Option(
        names,
        type=_type_of(parameter),
        required=parameter.required,
        # None when it is not given, so that the operation's own default is taken.
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
        asked = preconditions.confirmation(found, operation)
        # Where two people consent in the browser, the question is put to them, and the name is exact.
        exact = asked is not None and asked.needs_second_person
        meant = yes or asked is None or exact or _is_meant(asked.text)
        return Run.request(
            target=found,
            kind=operation.kind,
            params=params,
            by=_django.command_line_actor(),
            typed_name=(target if exact else found.name) if meant else "",  # it was typed, as --target
        )
    except (Refusal, NotAllowed) as error:
        raise Refused(error.message) from error
    except InvalidInput as error:
        raise Unusable(error.message) from error


def _is_meant(says: str) -> bool:
    """Ask whoever sits there; a script has nobody to ask, and says it with --yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    if not click.confirm(f"{says} Is that meant?", err=True):
        raise Unusable("Nothing was started.")
    return True


class Refused(click.ClickException):
    """Somebody else is at it, or it is not permitted."""

    exit_code = REFUSED


class Unusable(click.ClickException):
    """The command cannot be used so."""

    exit_code = UNUSABLE


def _wait(run: Run, *, as_json: bool) -> int:
    """Show the log until the run has ended; with JSON on standard error, so that standard output is JSON."""
    try:
        for line in _lines(run):
            click.echo(line, err=as_json)
    except KeyboardInterrupt:
        # The run is not ours to end: it is in the worker's hands and on everybody's page.
        click.echo(f"\nNot waiting any longer. Run {run.pk} goes on; cancel it on its page.", err=True)
        return OTHERWISE
    _print(run, as_json=as_json)
    return EXIT_STATUS.get(run.state, OTHERWISE)


def _lines(run: Run) -> Iterator[str]:
    """How it was accepted, however quickly it is taken; then the log as it is written, until the end."""
    last, told = 0, run.state
    yield _how_it_stands(run)
    while True:
        run.refresh_from_db()
        ended = not run.is_unfinished  # asked before the lines: afterwards there are none to come
        if run.state != told and not ended:
            told = run.state
            yield _how_it_stands(run)
        for line in run.lines.filter(number__gt=last).order_by("number").iterator():
            last = line.number
            yield line.text
        if ended:
            return
        time.sleep(LOOK_EVERY_S)


def _how_it_stands(run: Run) -> str:
    if run.is_waiting:
        return _whom_it_waits_for(run)
    waits = " and waits for a free worker." if run.state == "queued" else "."
    return f"Run {run.pk} is {run.get_state_display().lower()}{waits}"


def _whom_it_waits_for(run: Run) -> str:
    """In words; two, for nobody can tell who sits at a command line."""
    return (
        f"Run {run.pk} waits for a second person, for {run.target} is production: {run.consents_missing} "
        f"operators have to consent on its page, /runs/{run.pk}/, by {run.consent_deadline:%H:%M %Z}."
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
