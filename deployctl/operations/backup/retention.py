"""The retention policy: decide which backups to keep and which to delete."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployctl.text import pluralize


class Trust(enum.StrEnum):
    """A trust level: what has been verified of a backup, in ascending order."""

    WRITTEN = "written"
    HASHED = "hashed"
    RESTORED = "restored"
    PROVEN = "proven"

    @property
    def label(self) -> str:
        """Return the level for display."""
        return self.value.capitalize()


@dataclass(frozen=True)
class Policy:
    """A retention policy: how long the backups of a target are kept.

    Args:
        keep_days: keep every backup younger than this many days.
        daily, weekly, monthly: also keep the newest backup of each of the last so many days, ISO weeks and
            months (UTC) with a backup.
    """

    keep_days: int = 30
    daily: int = 7
    weekly: int = 4
    monthly: int = 3

    def __str__(self) -> str:
        return (
            f"everything for {pluralize(self.keep_days, 'day')}, and the newest of each of the last "
            f"{pluralize(self.daily, 'day')}, {pluralize(self.weekly, 'week')} and "
            f"{pluralize(self.monthly, 'month')} with a backup"
        )


@dataclass(frozen=True)
class KeptBackup:
    """A backup on record that has not expired.

    Args:
        trust: its highest trust level.
        details: facts specific to the engine, see `framework.base.BackupArtefact`.
        uploaded_at: when a dump that was made elsewhere was imported; None for a backup made here.
    """

    name: str
    snapshot_at: dt.datetime
    trust: str
    size_bytes: int
    manifest_sha256: str
    details: Mapping[str, Any] = field(default_factory=dict)
    uploaded_at: dt.datetime | None = None


@dataclass(frozen=True)
class RetentionDecision:
    """The decision on a backup, with the reasons for keeping it, or the one for deleting it."""

    backup: KeptBackup
    is_deleted: bool
    reasons: tuple[str, ...]

    @property
    def why(self) -> str:
        """Return the reasons as one text."""
        return "; ".join(self.reasons)


def decide(
    backups: Iterable[KeptBackup], policy: Policy, *, now: dt.datetime
) -> tuple[RetentionDecision, ...]:
    """Decide which backups to keep.

    The newest backup and the newest one of the highest trust level are always kept. An uploaded backup is
    kept only for the policy's days after the upload, and never replaces a backup made here in another rule.

    Args:
        backups: the backups of one target, in any order.
        now: the current time, with a time zone.

    Returns:
        One decision per backup, newest first.
    """
    ordered = sorted(backups, key=lambda backup: (backup.snapshot_at, backup.name), reverse=True)
    reasons: dict[str, list[str]] = {backup.name: [] for backup in ordered}
    # If there are only uploads, protect those.
    levels = tuple(Trust)
    ours = [backup for backup in ordered if backup.uploaded_at is None] or ordered
    if ours:
        reasons[ours[0].name].append("newest backup")
        best = max(ours, key=lambda backup: levels.index(Trust(backup.trust)))  # the first, so the newest
        reasons[best.name].append(f"newest {best.trust} backup")
    for backup in ordered:
        if now - (backup.uploaded_at or backup.snapshot_at) < dt.timedelta(days=policy.keep_days):
            since = "uploaded less than {} days ago" if backup.uploaded_at else "younger than {} days"
            reasons[backup.name].append(since.format(policy.keep_days))
    for count, word, period in (
        (policy.daily, "day", _day),
        (policy.weekly, "week", _week),
        (policy.monthly, "month", _month),
    ):
        for name in _newest_of_each(ours, period, count):
            reasons[name].append(f"newest of its {word}")
    expired = (
        f"older than {pluralize(policy.keep_days, 'day')}, and not the newest of a kept day, week or month"
    )
    return tuple(
        RetentionDecision(
            backup, is_deleted=not reasons[backup.name], reasons=tuple(reasons[backup.name]) or (expired,)
        )
        for backup in ordered
    )


def _newest_of_each(
    ordered: list[KeptBackup], period: Callable[[dt.datetime], Hashable], count: int
) -> list[str]:
    newest: dict[Hashable, str] = {}
    for backup in ordered:
        newest.setdefault(period(backup.snapshot_at.astimezone(dt.UTC)), backup.name)
    return list(newest.values())[:count]


def _day(at: dt.datetime) -> Hashable:
    return at.date()


def _week(at: dt.datetime) -> Hashable:
    return at.isocalendar()[:2]


def _month(at: dt.datetime) -> Hashable:
    return at.year, at.month
