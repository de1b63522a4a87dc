"""The errors whose message is a sentence for the person who reads it.

Everything else that escapes is a defect. A message says what happened, what state things are in now,
and what to do next.
"""

from __future__ import annotations


class DeployctlError(Exception):
    """Something went wrong that the reader can understand and act on."""

    @property
    def message(self) -> str:
        """The message, as it is shown to people."""
        return str(self)


class Refusal(DeployctlError):
    """A verb was refused because of the state of things; nothing was changed (HTTP 409)."""


class InvalidInput(DeployctlError):
    """What was given cannot be used; nothing was changed (HTTP 422)."""


class NotAllowed(DeployctlError):
    """The person may not do this; nothing was changed (HTTP 403)."""
