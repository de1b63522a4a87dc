"""Secrets kept, encrypted, in deployctl's own database.

This floor knows no database: whoever keeps the values (`deployctl.runs`) says at the start how they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from deployctl.secrets.base import SecretError, SecretSource

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}/[A-Za-z_][A-Za-z0-9_]{0,99}")

_reader: Callable[[str], str] | None = None


def read_with(reader: Callable[[str], str]) -> None:
    """Say how a stored value is read by its name; it raises `SecretError` where that fails."""
    global _reader  # the one place where the floors meet
    _reader = reader


class Stored(SecretSource):
    """`stored:TARGET/NAME`."""

    scheme = "stored"
    help = "stored:TARGET/NAME reads a value stored, encrypted, in the settings of a target."

    def check(self, rest: str) -> None:
        if not NAME.fullmatch(rest):
            raise SecretError(
                "After stored: come a target and a name, such as stored:shop/DATABASE_URL. Values are stored "
                "in the settings of a target."
            )

    def read(self, rest: str) -> str:
        if _reader is None:
            raise SecretError("Stored secrets can be read by the web server, the worker and deployctl only.")
        return _reader(rest)
