"""The command line. Each command is in its own module, which is imported only when the command is called."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from deployctl.errors import DeployctlError

# name: (import path of the click command, first sentence of its help). The sentence is repeated here so that
# `deployctl --help` doesn't import every command; a test compares the two.
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("deployctl.cli.up:up", "Start deployctl on this machine and keep it running."),
    "template": (
        "deployctl.cli.template:template",
        "Show, check, import and publish checklist templates.",
    ),
    "target": ("deployctl.cli.target:target", "Add, list, show and check targets."),
    "deployment": (
        "deployctl.cli.deployment:deployment",
        "Plan, list and show deployments.",
    ),
    "run": ("deployctl.cli.run:run", "Start an operation on a target."),
    "backup": (
        "deployctl.cli.backup:backup",
        "List, download, upload and expire backups.",
    ),
    "user": ("deployctl.cli.user:user", "Add, list, enable and disable users."),
    "audit": ("deployctl.cli.audit:audit", "Read, verify, sign and export the audit log."),
    "evidence": (
        "deployctl.cli.evidence:evidence",
        "Export the evidence of deployments.",
    ),
    "verify": (
        "deployctl.cli.verify:verify",
        "Verify an evidence pack, a period pack or an audit export.",
    ),
    "gate": ("deployctl.cli.gate:gate", "Report GO or NO-GO for a gate by exit status."),
    "completion": (
        "deployctl.cli.completion:completion",
        "Print a shell completion script.",
    ),
}


class Group(click.Group):
    """A group that imports its commands on demand and shows deployctl's errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return a command."""
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
        """Run a command. An expected error becomes its message and exit status 1."""
        try:
            return super().invoke(ctx)
        except DeployctlError as error:
            raise click.ClickException(error.message) from error
        except Exception as error:
            if message := _database_message(error):
                raise click.ClickException(message) from error
            raise


def _database_message(error: Exception) -> str:
    """Return the message for an error of deployctl's own database; empty for any other error."""
    # Compared by name, because a command that needs no database must not import Django.
    if type(error).__module__ != "django.db.utils":
        return ""
    if type(error).__name__ in {"OperationalError", "InterfaceError"}:
        return (
            "deployctl can't reach its own database. If you use `deployctl up` or `make run`, start it and "
            "run this command in the same folder or with the same DEPLOYCTL_DATA; otherwise check "
            "DATABASE_URL."
        )
    if type(error).__name__ == "ProgrammingError":
        return (
            "deployctl's own database isn't up to date. Run `deployctl up` or `python manage.py migrate`. "
            f"PostgreSQL reported: {str(error).splitlines()[0]}"
        )
    return ""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="deployctl", message="%(prog)s %(version)s")
def cli() -> None:
    """Deploy PostgreSQL databases to production, with checklists, sign-off and evidence."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    cli.main(args=list(arguments) if arguments is not None else None, prog_name="deployctl")
