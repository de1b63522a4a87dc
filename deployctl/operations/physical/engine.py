"""The physical engine of a target: its stanza in a pgBackRest configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Engine:
    """A target's physical engine.

    Args:
        stanza: pgBackRest's name for the cluster.
        configuration: pgBackRest's configuration file; None for its default location.
        scratch: the folder in which test restores are done.
    """

    stanza: str
    configuration: Path | None
    scratch: Path
