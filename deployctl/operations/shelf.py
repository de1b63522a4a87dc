"""The record of a target's backups as operations see it; `runs` keeps it."""

from __future__ import annotations

from typing import Protocol

from deployctl.operations.retention import KeptBackup, Policy


class Shelf(Protocol):
    """What is on record about the backups of a run's target. Writes fail once the run is not ours any more."""

    def policy(self) -> Policy:
        """How long backups of the target are kept."""

    def backups(self) -> tuple[KeptBackup, ...]:
        """The backups on record that were not expired, newest first."""

    def expired(self) -> frozenset[str]:
        """The names of those that were."""

    def expire(self, backup: KeptBackup, reason: str) -> None:
        """Record for good that a backup's files are removed by this run."""
