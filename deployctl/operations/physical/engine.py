"""Which stanza of which pgBackRest configuration is a target's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Engine:
    """A target's physical engine.

    Args:
        stanza: pgBackRest's name for the cluster.
        configuration: pgBackRest's configuration file; None for the place where it looks by itself.
        scratch: the folder below which backups are restored for a test.
    """

    stanza: str
    configuration: Path | None
    scratch: Path
