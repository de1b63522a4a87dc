"""Errors of passwords, codes and passkeys, with messages for the person who entered them."""

from __future__ import annotations

import datetime as dt

from deployctl.errors import InvalidInput, Refusal


class WrongCode(InvalidInput):
    """The code does not match the person's second factor, or was used already."""


class WrongPassword(InvalidInput):
    """The password is not the person's."""


class MustChangePassword(InvalidInput):
    """The password is temporary, so it can't identify the person alone."""


class WrongPasskey(InvalidInput):
    """The passkey isn't the person's, or its challenge is unknown or was used already."""


class ReauthenticationRequired(InvalidInput):
    """The person uses single sign-on and must sign in there again before signing."""


class NoSecondFactor(Refusal):
    """The person has no second factor."""


class Throttled(Refusal):
    """The person failed too often and must wait before the next attempt.

    Attributes:
        until: when the next attempt is possible.
    """

    def __init__(self, message: str, *, until: dt.datetime) -> None:
        super().__init__(message)
        self.until = until
