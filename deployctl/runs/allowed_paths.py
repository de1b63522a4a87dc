"""Checks of secret references and paths against the folders that this installation allows."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from deployctl import secrets
from deployctl.errors import InvalidInput

# pgBackRest's default paths, where only root writes.
PGBACKREST_FOLDER = Path("/etc/pgbackrest")
PGBACKREST_FILES = frozenset({Path("/etc/pgbackrest.conf")})


def check_reference(reference: str) -> None:
    """Check a reference without reading the secret.

    Raises:
        SecretError: the reference is invalid.
        InvalidInput: it names a file outside the allowed folders.
    """
    secrets.check_reference(reference)
    scheme, _, rest = reference.partition(":")
    if scheme == "file" and not within(Path(rest), settings.DEPLOYCTL_SECRET_ROOTS):
        raise InvalidInput(
            f"{rest} isn't in an allowed folder for secrets: {_listed(settings.DEPLOYCTL_SECRET_ROOTS)}. "
            "Move the file there, or ask an administrator to add its folder to DEPLOYCTL_SECRET_ROOTS."
        )


def resolve_reference(reference: str) -> secrets.Secret:
    """Return the secret. The path is checked again, because links can change.

    Raises:
        SecretError, InvalidInput: the secret cannot be read.
    """
    check_reference(reference)
    return secrets.resolve(reference)


def check_project_folder(folder: str) -> None:
    """Check a project folder, which may be "".

    Raises:
        InvalidInput: it is not a folder, or is outside the allowed folders.
    """
    if not folder:
        return
    path = Path(folder)
    if not within(path, settings.DEPLOYCTL_PROJECT_ROOTS):
        raise InvalidInput(
            f"{folder} isn't in an allowed folder for projects: {_listed(settings.DEPLOYCTL_PROJECT_ROOTS)}. "
            "Move the project there, or ask an administrator to add its folder to DEPLOYCTL_PROJECT_ROOTS."
        )
    if not path.is_dir():
        raise InvalidInput(f"{folder} isn't a folder on this machine. Check the path.")


def check_pgbackrest_path(configuration: str) -> None:
    """Check the path of a pgBackRest configuration, which may name programs to run.

    Raises:
        InvalidInput: it is neither a default path nor in an allowed folder.
    """
    path = Path(configuration)
    if path in PGBACKREST_FILES or within(path, [PGBACKREST_FOLDER, *settings.DEPLOYCTL_PGBACKREST_ROOTS]):
        return
    raise InvalidInput(
        f"{configuration} isn't in an allowed folder for pgBackRest configurations. Use /etc/pgbackrest.conf "
        f"or a file in /etc/pgbackrest or one of: {_listed(settings.DEPLOYCTL_PGBACKREST_ROOTS)}; or ask an "
        "administrator to add its folder to DEPLOYCTL_PGBACKREST_ROOTS."
    )


def check_scratch_folder(folder: str) -> None:
    """Check the folder for test restores of physical backups.

    Raises:
        InvalidInput: it is outside the allowed folders.
    """
    if not within(Path(folder), settings.DEPLOYCTL_PGBACKREST_ROOTS):
        raise InvalidInput(
            f"{folder} isn't in an allowed folder for test restores: "
            f"{_listed(settings.DEPLOYCTL_PGBACKREST_ROOTS)}. Choose a folder below these, or ask an "
            "administrator to add it to DEPLOYCTL_PGBACKREST_ROOTS."
        )


def within(path: Path, roots: list[Path]) -> bool:
    """Return True if a path is in one of the folders, with links resolved."""
    if "\0" in str(path) or not path.is_absolute():
        return False
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)


def _listed(roots: list[Path]) -> str:
    return ", ".join(map(str, roots)) or "none"
