"""Read secrets from environment variables."""

from __future__ import annotations

import os
import re

from deployctl.secrets.base import SecretError, SecretSource

# POSIX, Base Definitions 8.1: names of environment variables.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Environment(SecretSource):
    """The environment of the process: `env:NAME`."""

    scheme = "env"
    help = "env:NAME reads the environment variable NAME of the worker and the web server."

    def check(self, rest: str) -> None:
        if not NAME.fullmatch(rest):
            # The input is not repeated: it could be a secret pasted by mistake.
            raise SecretError(
                "env: must be followed by the name of an environment variable (letters, digits and _), "
                "not by the secret itself."
            )

    def read(self, rest: str) -> str:
        value = os.environ.get(rest, "")
        if not value:
            raise SecretError(
                f"The environment variable {rest} is not set or empty. "
                "Set it for the worker and the web server and restart them."
            )
        return value
