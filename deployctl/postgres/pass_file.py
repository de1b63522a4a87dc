"""The password for one program: in a file that only we can read, gone when the program is.

Never in the environment (`/proc/<pid>/environ`) and never in argv (`ps`).
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
    """A password cannot be handed to a program; nothing ran."""


@contextmanager
def written(spec: ConnectionSpec, *, application_name: str) -> Iterator[Path]:
    """Write the pass file of a spec, in a folder of its own, and remove both at the end.

    Should we be killed before the end, the program's guard removes it (`guard.py`), or else `remove_left`.

    Args:
        spec: whose password it is.
        application_name: of the program.
    """
    with tempfile.TemporaryDirectory(prefix=f"{_prefix(application_name)}-") as folder:
        path = Path(folder, "pgpass")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line(spec))
        yield path


def to_remove(env: Mapping[str, str]) -> str:
    """The pass file that goes with a program's environment when nobody else is left; "" when none is ours."""
    path = env.get("PGPASSFILE", "")
    return path if Path(path).parent.name.startswith(PREFIX) else ""


def remove_left(mark: str) -> None:
    """Remove pass files on this machine that programs left which were killed together with us.

    Args:
        mark: how their application names begin.
    """
    for folder in Path(tempfile.gettempdir()).iterdir():
        if folder.name.startswith(_prefix(mark)):
            shutil.rmtree(folder, ignore_errors=True)


def line(spec: ConnectionSpec) -> str:
    r"""The line of a PostgreSQL password file for a spec; `:` and `\` are escaped as its documentation asks.

    Raises:
        UnusablePassword: the password holds a line break, which the file's format cannot express.
    """
    if any(character in spec.password for character in "\r\n\0"):
        raise UnusablePassword(
            "The password holds a line break, which PostgreSQL's password file cannot hold. Change it."
        )
    # A socket folder is matched under another name ("localhost"), and a line break cannot be written: any.
    host = "*" if spec.host.startswith("/") else spec.host
    fields = [host, str(spec.port), "*", spec.user]
    fields = ["*" if any(c in field for c in "\r\n") else field for field in fields]
    return ":".join(part if part == "*" else _escape(part) for part in [*fields, spec.password]) + "\n"


def _escape(part: str) -> str:
    return part.replace("\\", "\\\\").replace(":", "\\:")


def _prefix(application_name: str) -> str:
    return PREFIX + quote(application_name, safe="")
