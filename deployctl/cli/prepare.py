"""Prepare an installation: signing key, migrations, static files, built-in templates and the first users.

`deployctl up` runs this in a separate process, so that its own process stays small. Standard output holds the
sign-in instructions, which `up` shows when everything is ready.
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
    """Prepare the installation.

    Args:
        arguments: ``--demo`` adds the demo; ``--administrator=EMAIL`` adds the first user if there is none.
            With neither, no user is added.

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
            # Imported by name, because the demo is the only part that may be missing.
            lines = importlib.import_module("deployctl.demo").prepare()
        else:
            emails = [
                argument.partition("=")[2]
                for argument in arguments
                if argument.startswith("--administrator=")
            ]
            lines = _first_administrator(emails[0]) if emails else []
    except DeployctlError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _make_signing_key() -> None:
    """Create the signing key for heads and evidence packs, unless one is configured."""
    from django.conf import settings

    from deployctl.audit import signed_statements, signing_keys

    data = Path(settings.DEPLOYCTL_DATA)
    # The default anchor store of `deployctl up`. A store never creates its own folder.
    (data / "heads").mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.DEPLOYCTL_SIGNING_KEY and not (data / signing_keys.FILE_NAME).exists():
        write_private(data / signing_keys.FILE_NAME, signed_statements.new_key())


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    # Checking the plan first is much faster than a `migrate` with nothing to do, which loads the state of
    # every model.
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _collect_static_files() -> None:
    """Collect and compress the static files, unless they are unchanged."""
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
    """Publish the built-in templates; a changed template is published as a new version."""
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
        return ["Sign in with your account. If you have none, see `deployctl user --help`."]
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
        "Sign in as the first administrator. This temporary password is shown only once:",
        f"  {email}  {password}",
        "It is valid for three days. You choose a new one when you sign in.",
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
