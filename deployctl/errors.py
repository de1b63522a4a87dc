"""Errors whose messages are shown to users. Any other exception that isn't caught is a defect.

A message says what happened, what the state is now, and what to do next.
"""

from __future__ import annotations


class DeployctlError(Exception):
    """The base class of errors that the user can understand and act on."""

    @property
    def message(self) -> str:
        """The message for the user."""
        return str(self)


class Refusal(DeployctlError):
    """The current state doesn't allow the action; nothing was changed (HTTP 409)."""


class InvalidInput(DeployctlError):
    """The input is invalid; nothing was changed (HTTP 422)."""


class NotAllowed(DeployctlError):
    """The user isn't allowed to do this; nothing was changed (HTTP 403)."""
