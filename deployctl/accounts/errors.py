"""What can go wrong with passwords and codes, as sentences for the person who typed them."""

from __future__ import annotations

import datetime as dt

from deployctl.errors import InvalidInput, Refusal


class WrongCode(InvalidInput):
    """The code does not match the person's second factor, or was used already."""


class WrongPassword(InvalidInput):
    """The password is not the person's."""


class TemporaryPassword(InvalidInput):
    """Somebody else has seen the password, so it does not tell the person from them."""


class WrongPasskey(InvalidInput):
    """The answer is of no passkey of the person's, or was not asked for, or was used already."""


class NotSignedInAgain(InvalidInput):
    """The person signs in elsewhere, and has not done so again for what they want to sign."""


class NoFactor(Refusal):
    """There is no second factor that could be asked for a code."""


class Throttled(Refusal):
    """Too many wrong attempts: the next one counts only after a pause.

    Attributes:
        until: when the next attempt counts.
    """

    def __init__(self, message: str, *, until: dt.datetime) -> None:
        super().__init__(message)
        self.until = until
