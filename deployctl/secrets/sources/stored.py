"""Secrets that `deployctl.runs` stores, encrypted, in deployctl's own database."""

from __future__ import annotations

import re

from deployctl.secrets.base import SecretError, SecretSource
from deployctl.secrets.hooks import stored_secret

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}/[A-Za-z_][A-Za-z0-9_]{0,99}")


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
        found = stored_secret.collect(rest)
        if not found:
            raise SecretError("Stored secrets can be read by the web server, the worker and deployctl only.")
        return found[0]
