"""Read secrets that `deployctl.runs` stores, encrypted, in deployctl's own database."""

from __future__ import annotations

import re

from deployctl.secrets.base import SecretError, SecretSource
from deployctl.secrets.hooks import stored_secret

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}/[A-Za-z_][A-Za-z0-9_]{0,99}")


class Stored(SecretSource):
    """deployctl's own database: `stored:TARGET/NAME`."""

    scheme = "stored"
    help = "stored:TARGET/NAME reads an encrypted value from the settings of a target."

    def check(self, rest: str) -> None:
        if not NAME.fullmatch(rest):
            raise SecretError(
                "stored: must be followed by a target and a name, such as stored:shop/DATABASE_URL. Add the "
                "value in the settings of the target."
            )

    def read(self, rest: str) -> str:
        values = stored_secret.collect(rest)
        if not values:
            raise SecretError("Only the web server, the worker and deployctl can read stored secrets.")
        return values[0]
