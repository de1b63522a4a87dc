"""The command line. Each command lives in a module of its own, which is imported only when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from deployctl.errors import DeployctlError

# name: (where the click command is, the first sentence of its help). The sentence is repeated here so that
# `deployctl --help` need not import what it lists; a test compares the two.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("deployctl.cli.up:up", "Start everything on this machine and keep it running."),
    "template": (
        "deployctl.cli.template:template",
        "Read, check, keep and publish checklists written in Markdown.",
    ),
    "target": ("deployctl.cli.target:target", "Add, list, show and check databases under care."),
    "deployment": (
        "deployctl.cli.deployment:deployment",
        "Plan deployments, list them, and say where one stands.",
    ),
    "run": ("deployctl.cli.run:run", "Start an operation on a target."),
    "backup": (
        "deployctl.cli.backup:backup",
        "List backups; `deployctl run backup` and `deployctl run physical_backup` make them.",
    ),
    "user": ("deployctl.cli.user:user", "Add, list, enable and disable people."),
    "audit": ("deployctl.cli.audit:audit", "Read, verify, sign and export the audit log."),
    "evidence": (
        "deployctl.cli.evidence:evidence",
        "Export evidence of deployments; `deployctl verify` checks it anywhere.",
    ),
    "verify": (
        "deployctl.cli.verify:verify",
        "Check an evidence pack, a period pack or an audit export; exit status 1 names what is wrong.",
    ),
    "gate": ("deployctl.cli.gate:gate", "Say GO or NO-GO for a gate, by exit status."),
    "completion": (
        "deployctl.cli.completion:completion",
        "Print the script that completes commands in a shell.",
    ),
}


class Group(click.Group):
    """A group that imports its commands when they are needed, and shows our errors as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error meant for people becomes one sentence and exit status 1."""
        try:
            return super().invoke(ctx)
        except DeployctlError as error:
            raise click.ClickException(error.message) from error
        except Exception as error:
            if sentence := _database_sentence(error):
                raise click.ClickException(sentence) from error
            raise


def _database_sentence(error: Exception) -> str:
    """What to do when deployctl's own database cannot be used; empty for any other error."""
    # Named, not imported: a command that needs no database must not load Django.
    if type(error).__module__ != "django.db.utils":
        return ""
    if type(error).__name__ in {"OperationalError", "InterfaceError"}:
        return (
            "deployctl's own database cannot be reached. Start it with `deployctl up` (or `make run`) and "
            "give this command the same data folder: run it in the same folder, or set DEPLOYCTL_DATA. For a "
            "database of your own, check DATABASE_URL."
        )
    if type(error).__name__ == "ProgrammingError":
        return (
            "deployctl's own database is not up to date. Start `deployctl up` once, or run "
            f"`python manage.py migrate`. PostgreSQL said: {str(error).splitlines()[0]}"
        )
    return ""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="deployctl", message="%(prog)s %(version)s")
def cli() -> None:
    """Take a PostgreSQL database to production and prove that it was done properly."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; never returns."""
    cli.main(args=list(arguments) if arguments is not None else None, prog_name="deployctl")
