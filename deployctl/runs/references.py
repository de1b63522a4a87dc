"""References to secrets, within the folders that this installation allows."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from deployctl import secrets
from deployctl.errors import InvalidInput

# Where pgBackRest itself looks, and where root alone writes.
PGBACKREST_FOLDER = Path("/etc/pgbackrest")
PGBACKREST_FILES = frozenset({Path("/etc/pgbackrest.conf")})


def check(reference: str) -> None:
    """Look at a reference without reading the secret.

    Raises:
        SecretError: it is not a reference.
        InvalidInput: it names a file outside the allowed folders.
    """
    secrets.check_reference(reference)
    scheme, _, rest = reference.partition(":")
    if scheme == "file" and not within(Path(rest), settings.DEPLOYCTL_SECRET_ROOTS):
        raise InvalidInput(
            f"{rest} lies in no folder for secrets. Allowed: {_listed(settings.DEPLOYCTL_SECRET_ROOTS)}. "
            "Put the file there, or have an administrator add its folder to DEPLOYCTL_SECRET_ROOTS."
        )


def resolve(reference: str) -> secrets.Secret:
    """Read the secret; where it lies is checked again, for links can be moved.

    Raises:
        SecretError, InvalidInput: with what to do.
    """
    check(reference)
    return secrets.resolve(reference)


def check_project_folder(folder: str) -> None:
    """Look at a project folder; empty means that the target has none.

    Raises:
        InvalidInput: it is not a folder, or lies outside the allowed ones.
    """
    if not folder:
        return
    path = Path(folder)
    if not within(path, settings.DEPLOYCTL_PROJECT_ROOTS):
        raise InvalidInput(
            f"{folder} lies in no folder for projects. Allowed: {_listed(settings.DEPLOYCTL_PROJECT_ROOTS)}. "
            "Put the project there, or have an administrator add its folder to DEPLOYCTL_PROJECT_ROOTS."
        )
    if not path.is_dir():
        raise InvalidInput(f"{folder} is not a folder on this machine. Check the path.")


def check_pgbackrest_path(configuration: str) -> None:
    """Look at the path of a pgBackRest configuration, which may name programs that are then run.

    Raises:
        InvalidInput: it is none of pgBackRest's own places, and lies outside the allowed folders.
    """
    path = Path(configuration)
    if path in PGBACKREST_FILES or within(path, [PGBACKREST_FOLDER, *settings.DEPLOYCTL_PGBACKREST_ROOTS]):
        return
    raise InvalidInput(
        f"{configuration} is no place for pgBackRest's configuration. Use /etc/pgbackrest.conf or a file "
        f"below /etc/pgbackrest or one of: {_listed(settings.DEPLOYCTL_PGBACKREST_ROOTS)}, or have an "
        "administrator add its folder to DEPLOYCTL_PGBACKREST_ROOTS."
    )


def check_scratch_folder(folder: str) -> None:
    """Look at a folder in which physical backups are to be restored for a test.

    Raises:
        InvalidInput: it lies outside the allowed folders.
    """
    if not within(Path(folder), settings.DEPLOYCTL_PGBACKREST_ROOTS):
        raise InvalidInput(
            f"{folder} lies in no folder for test restores. Allowed: "
            f"{_listed(settings.DEPLOYCTL_PGBACKREST_ROOTS)}. Choose one below these, or have an "
            "administrator add its folder to DEPLOYCTL_PGBACKREST_ROOTS."
        )


def within(path: Path, roots: list[Path]) -> bool:
    """Whether a path lies below one of the folders, links followed."""
    if "\0" in str(path) or not path.is_absolute():
        return False
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)


def _listed(roots: list[Path]) -> str:
    return ", ".join(map(str, roots)) or "none"
