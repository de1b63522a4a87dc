"""Errors of the embedded installation."""

from __future__ import annotations

from deployctl.errors import DeployctlError


class EmbeddedError(DeployctlError):
    """A program of the embedded installation could not be prepared, started or stopped."""


class BinariesMissing(EmbeddedError):
    """No usable server program was found on this machine."""


class PortTaken(EmbeddedError):
    """Another program listens on the requested port."""


class FolderInUse(EmbeddedError):
    """Another deployctl process uses the folder."""
