"""Pass a password to a program in a PostgreSQL password file that is removed when the program ends.

A password in the environment is visible in `/proc/<pid>/environ`, one among the arguments in `ps`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from deployctl.errors import DeployctlError
from deployctl.postgres.connection import ConnectionSpec

PREFIX = "deployctl-pass-"


class UnusablePassword(DeployctlError):
    """A password that cannot be written to a password file; the program was not started."""


@contextmanager
def temporary_pass_file(spec: ConnectionSpec, *, application_name: str) -> Iterator[Path]:
    """Write a password file in a folder of its own, and remove both at the end.

    If this process is killed, the program's guard removes them (`guard.py`), or else `remove_leftovers`.

    Args:
        application_name: of the program.
    """
    with tempfile.TemporaryDirectory(prefix=f"{_prefix(application_name)}-") as folder:
        path = Path(folder, "pgpass")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(pass_file_line(spec))
        yield path


def pass_file_of(env: Mapping[str, str]) -> str:
    """Return the path of the password file in an environment, or "" if deployctl did not write it."""
    path = env.get("PGPASSFILE", "")
    return path if Path(path).parent.name.startswith(PREFIX) else ""


def remove_leftovers(prefix: str) -> None:
    """Remove the password files on this machine that killed processes left behind.

    Args:
        prefix: of the application names.
    """
    for folder in Path(tempfile.gettempdir()).iterdir():
        if folder.name.startswith(_prefix(prefix)):
            shutil.rmtree(folder, ignore_errors=True)


def pass_file_line(spec: ConnectionSpec) -> str:
    r"""Return the line of a password file, with `:` and `\` escaped (PostgreSQL manual, "The Password File").

    Raises:
        UnusablePassword: the password contains a line break or NUL.
    """
    if any(character in spec.password for character in "\r\n\0"):
        raise UnusablePassword(
            "The password contains a line break, which PostgreSQL's password file can't represent. "
            "Change the password."
        )
    # libpq looks up a socket folder as "localhost", and a line break cannot be written, so match any.
    host = "*" if spec.host.startswith("/") else spec.host
    fields = [host, str(spec.port), "*", spec.user]
    fields = ["*" if any(c in field for c in "\r\n") else field for field in fields]
    return ":".join(part if part == "*" else _escape(part) for part in [*fields, spec.password]) + "\n"


def _escape(part: str) -> str:
    return part.replace("\\", "\\\\").replace(":", "\\:")


def _prefix(application_name: str) -> str:
    return PREFIX + quote(application_name, safe="")
