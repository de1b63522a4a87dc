"""What can go wrong with the parts that deployctl runs itself."""

from __future__ import annotations

from deployctl.errors import DeployctlError


class EmbeddedError(DeployctlError):
    """A part that deployctl runs itself could not be prepared, started or stopped."""


class BinariesMissing(EmbeddedError):
    """No usable server program was found on this machine."""


class PortTaken(EmbeddedError):
    """Something else listens on the port that was asked for."""


class FolderInUse(EmbeddedError):
    """Another process of deployctl works on the same folder."""
