"""Retention policies of targets, and a preview of the backups that they expire."""

from __future__ import annotations

import dataclasses

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone

from deployctl import audit
from deployctl.audit import Actor
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput
from deployctl.operations.backup.retention import KeptBackup, Policy, RetentionDecision, decide
from deployctl.runs.models.backup import Backup
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import require_administrator

DEFAULT = Policy()
LIMITS = {"keep_days": (1, 3650), "daily": (0, 366), "weekly": (0, 520), "monthly": (0, 240)}


def _count(name: str) -> models.PositiveIntegerField[int, int]:
    minimum, maximum = LIMITS[name]
    return models.PositiveIntegerField(
        default=getattr(DEFAULT, name), validators=[MinValueValidator(minimum), MaxValueValidator(maximum)]
    )


class Retention(models.Model):
    """The retention policy of a target; a target without a row has the defaults of `Policy`."""

    target = models.OneToOneField(Target, on_delete=models.PROTECT, related_name="retention")
    keep_days = _count("keep_days")
    daily = _count("daily")
    weekly = _count("weekly")
    monthly = _count("monthly")

    def __str__(self) -> str:
        return f"{self.target}: {self.policy}"

    @property
    def policy(self) -> Policy:
        """The policy, for `backup.retention.decide`."""
        return Policy(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Policy)})

    @classmethod
    def policy_of(cls, target: Target) -> Policy:
        """Return the policy of a target, or the defaults."""
        row = cls.objects.filter(target=target).first()
        return row.policy if row else DEFAULT

    @classmethod
    @transaction.atomic
    def set(cls, target: Target, policy: Policy, *, by: Actor) -> None:
        """Set the policy of a target. The next run of `expire_backups` applies it.

        Raises:
            InvalidInput: a number exceeds its limits.
            NotAllowed: `by` is not an administrator.
        """
        require_administrator(by)
        values = dataclasses.asdict(policy)
        for name, (minimum, maximum) in LIMITS.items():
            if not minimum <= values[name] <= maximum:
                raise InvalidInput(f"{name} must be between {minimum} and {maximum}. Nothing was changed.")
        before = dataclasses.asdict(cls.policy_of(target))
        cls.objects.update_or_create(target=target, defaults=values)
        audit.append(
            Action.TARGET_RETENTION_SET, by=by, subject=target, data={"before": before, "after": values}
        )
        target.announce()

    @classmethod
    def preview(cls, target: Target, policy: Policy | None = None) -> tuple[RetentionDecision, ...]:
        """Return the decision on each dump under the target's policy or the given one, newest first.

        Physical backups are left out, because pgBackRest expires them by its own retention.
        """
        return decide(kept_backups(target), policy or cls.policy_of(target), now=timezone.now())


def kept_backups(target: Target) -> tuple[KeptBackup, ...]:
    """Return the dumps of a target that have not expired, newest first."""
    return _kept(Backup.objects.dumps().filter(target=target))


def kept_physical_backups(target: Target) -> tuple[KeptBackup, ...]:
    """Return the physical backups of a target that have not expired, newest first."""
    return _kept(Backup.objects.physical().filter(target=target))


def _kept(backups: models.QuerySet[Backup]) -> tuple[KeptBackup, ...]:
    rows = backups.filter(expired_at=None).prefetch_related("trust_levels")
    return tuple(
        KeptBackup(
            name=row.name,
            snapshot_at=row.snapshot_at,
            trust=row.trust.value,
            size_bytes=row.size_bytes,
            manifest_sha256=row.manifest_sha256,
            uploaded_at=row.created_at if row.uploaded_from else None,
            details=row.details,
        )
        for row in rows.order_by("-snapshot_at")
    )
