"""Delete the files of backups that the target's retention policy does not keep."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from deployctl.operations.backup.retention import KeptBackup, RetentionDecision, decide
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.text import pluralize


class ExpireBackups(Operation):
    """Apply the target's retention policy.

    A backup is deleted in three steps: rename its folder, so that it isn't listed as a backup; record that it
    expired; delete the files. After a crash, the next run completes or reverts this, depending on the record.
    """

    kind: ClassVar[str] = "expire_backups"
    title: ClassVar[str] = "Expire backups"
    help: ClassVar[str] = (
        "Deletes the files of backups that the target's retention policy doesn't keep, but never the newest "
        "backup or the newest one of the highest trust level. The backups stay on record."
    )
    changes_target: ClassVar[bool] = False
    # No other run may read a backup of the target meanwhile.
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 4 * 3600

    def perform(self, job: Job) -> Outcome:
        with job.step("Complete an interrupted run"):
            _finish_interrupted(job)
        with job.step("Apply the retention policy"):
            decisions = _decide(job)
        expired = [decision for decision in decisions if decision.is_deleted]
        with job.step("Delete files"):
            for done, decision in enumerate(expired):
                job.raise_if_cancelled()
                job.advance(done, len(expired), unit="backups")
                _remove(job, decision)
        freed = sum(decision.backup.size_bytes for decision in expired)
        removed: list[str] = [decision.backup.name for decision in expired]
        return Outcome(
            summary=f"Deleted {len(removed)} of {pluralize(len(decisions), 'backup')} "
            f"({pluralize(freed, 'byte')}).",
            facts={"removed": removed, "kept": len(decisions) - len(removed), "freed_bytes": freed},
        )


def _finish_interrupted(job: Job) -> None:
    """Delete the renamed folders of expired backups, and rename the others back."""
    folder, expired = job.target.backups, job.backup_catalog.expired()
    for path in folder.list():
        if path.name in expired:
            folder.retire(path.name)
    for name in folder.retired():
        if name in expired:
            folder.delete_retired(name)
            job.log(f"{name} expired in an interrupted run; its remaining files were deleted.")
        else:
            folder.unretire(name)
            job.log(f"{name} is not recorded as expired; its folder was renamed back.")


def _decide(job: Job) -> tuple[RetentionDecision, ...]:
    on_record = job.backup_catalog.backups()
    present = {path.name for path in job.target.backups.list()}
    available: list[KeptBackup] = []
    for backup in on_record:
        if backup.name in present:
            available.append(backup)
        else:
            # Left out of the decision: the newest backup that really exists must be kept.
            job.log(f"{backup.name} is on record, but its files are missing.", level="warning")
    if on_record and not available:
        raise OperationFailed(
            f"{job.target.backups.root} contains no backup of {job.target.name}. Nothing was deleted. "
            "Check that the backup disk is mounted."
        )
    policy = job.backup_catalog.policy()
    job.log(f"Retention policy: keep {policy}.")
    decisions = decide(available, policy, now=dt.datetime.now(dt.UTC))
    for decision in decisions:
        action = "Delete" if decision.is_deleted else "Keep"
        job.log(f"{action} {decision.backup.name}: {decision.why}.")
    return decisions


def _remove(job: Job, decision: RetentionDecision) -> None:
    folder, name = job.target.backups, decision.backup.name
    folder.retire(name)
    job.backup_catalog.expire(decision.backup, decision.why)
    folder.delete_retired(name)
    job.log(f"Deleted {name}.")
