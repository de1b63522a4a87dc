"""The record of a target's backups as operations see it; `runs` keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from deployctl.operations.retention import KeptBackup, Policy
from deployctl.storage.stores import Store

if TYPE_CHECKING:
    from deployctl.operations.base import Outcome
    from deployctl.operations.offsite import CopyResult


class Shelf(Protocol):
    """What is on record about the backups of a run's target. Writes fail once the run is no more ours."""

    def policy(self) -> Policy:
        """How long backups of the target are kept."""

    def backups(self) -> tuple[KeptBackup, ...]:
        """The dumps on record that were not expired, newest first."""

    def physical(self) -> tuple[KeptBackup, ...]:
        """The same for backups of the physical engine, which keeps and expires their files itself."""

    def expired(self) -> frozenset[str]:
        """The names of the dumps that were."""

    def expire(self, backup: KeptBackup, reason: str) -> None:
        """Record for good that a backup's files are gone: removed by this run, or by the engine itself."""

    def settle(self, part: Outcome) -> None:
        """Record now what a part of the run achieved, so that it stands even should the run fail afterwards.

        Args:
            part: its artefact, trust and database count; summary and facts belong to the run's end.
        """

    def stores(self) -> Mapping[str, Store]:
        """The offsite stores of this installation by name.

        Raises:
            DeployctlError: one of them is not configured as it must be.
        """

    def copied(self, store: str) -> frozenset[str]:
        """The names of the backups of which a copy in a store was read back."""

    def record_copy(self, backup: KeptBackup, *, store: Store, result: CopyResult) -> None:
        """Record a copy that was read back just now."""
