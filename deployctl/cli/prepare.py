"""Brings key, database, static files and built-in templates up to date and makes the first people.

A step of `deployctl up`.

A process of its own, so that `up` stays small while it watches over the others. What it prints is what people
need for signing in; `up` shows it when everything is ready.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

from deployctl.cli import _django
from deployctl.embedded.private_files import write_private
from deployctl.errors import DeployctlError


def main(arguments: list[str]) -> int:
    """Prepare everything.

    Args:
        arguments: ``--demo`` adds the demonstration; ``--administrator=EMAIL`` adds the first person where
            there is none yet; with neither, nobody is added.

    Returns:
        The exit status.
    """
    try:
        _django.setup()
        _make_signing_key()
        _migrate()
        _collect_static_files()
        _publish_builtin_templates()
        if "--demo" in arguments:
            # By name, because the demonstration is the only part that may be absent.
            lines = importlib.import_module("deployctl.demo").prepare()
        else:
            emails = [one.partition("=")[2] for one in arguments if one.startswith("--administrator=")]
            lines = _first_administrator(emails[0]) if emails else []
    except DeployctlError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _make_signing_key() -> None:
    """Where none is configured, make the key that heads of the audit chain and evidence are signed with."""
    from django.conf import settings

    from deployctl.audit import signed_statements, signing_keys

    data = Path(settings.DEPLOYCTL_DATA)
    # Where `deployctl up` keeps signed heads unless told otherwise; a store never makes its own folder.
    (data / "heads").mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.DEPLOYCTL_SIGNING_KEY and not (data / signing_keys.FILE_NAME).exists():
        write_private(data / signing_keys.FILE_NAME, signed_statements.new_key())


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    # Looking at the plan first is much quicker than `migrate` with nothing to do, which loads every model's
    # state.
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _collect_static_files() -> None:
    """Collect and compress static files, unless they are what they were the last time."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    note = Path(settings.DEPLOYCTL_DATA) / "static.collected"
    if note.exists() and note.read_text(encoding="ascii") == digest.hexdigest():
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    note.write_text(digest.hexdigest(), encoding="ascii")


def _publish_builtin_templates() -> None:
    """A new installation has a checklist to plan with; a new version of ours is a new version there."""
    from checklists import builtin
    from checklists.models import Template

    for slug in builtin.slugs():
        Template.ensure_builtin(slug)


def _first_administrator(email: str) -> list[str]:
    from deployctl.accounts import temporary_passwords
    from deployctl.accounts.models import User
    from deployctl.accounts.roles import Permission
    from deployctl.audit.actors import Machine

    if User.objects.exists():
        return ["Sign in with your account. Lost it? `deployctl user --help` shows how to add one."]
    password = temporary_passwords.generate()
    User.objects.create_person(
        email=email,
        name="Administrator",
        password=password,
        permissions=[Permission.ADMINISTRATOR],
        by=Machine("command line: deployctl up"),
        is_temporary=True,
    )
    return [
        "Sign in as the first administrator; the password is shown this once and stored nowhere:",
        f"  {email}  {password}",
        "It is good for three days, and you replace it when you sign in.",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
