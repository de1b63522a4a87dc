"""Remove the backups that the target's retention does not keep."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from deployctl.operations.backup.retention import KeptBackup, RetentionDecision, decide
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome
from deployctl.text import pluralize


class ExpireBackups(Operation):
    """Apply the target's retention policy.

    A backup goes in three moves: its folder is renamed, so that nobody takes it for a backup; the record says
    that it expired; the files are deleted. Whoever comes after a crash finishes or takes back by the record.
    """

    kind: ClassVar[str] = "expire_backups"
    title: ClassVar[str] = "Expire backups"
    help: ClassVar[str] = (
        "Removes the files of backups that the target's retention does not keep. Never the newest one, and "
        "never the newest proven one. What is known of a removed backup stays on record."
    )
    changes_target: ClassVar[bool] = False
    # Nothing may read a backup of the target meanwhile.
    exclusive: ClassVar[bool] = True
    time_limit_s: ClassVar[int] = 4 * 3600

    def perform(self, job: Job) -> Outcome:
        with job.step("Finish what was interrupted"):
            _finish_interrupted(job)
        with job.step("Decide"):
            verdicts = _verdicts(job)
        going = [verdict for verdict in verdicts if verdict.is_deleted]
        with job.step("Remove"):
            for done, verdict in enumerate(going):
                job.raise_if_cancelled()
                job.advance(done, len(going), unit="backups")
                _remove(job, verdict)
        freed = sum(verdict.backup.size_bytes for verdict in going)
        removed: list[str] = [verdict.backup.name for verdict in going]
        return Outcome(
            summary=f"Removed {len(removed)} of {pluralize(len(verdicts), 'backup')}, "
            f"{pluralize(freed, 'byte')}.",
            facts={"removed": removed, "kept": len(verdicts) - len(removed), "freed_bytes": freed},
        )


def _finish_interrupted(job: Job) -> None:
    """A crash leaves folders on their way out: those on record as expired go, the others come back."""
    folder, expired = job.target.backups, job.backup_catalog.expired()
    for path in folder.list():
        if path.name in expired:
            folder.retire(path.name)
    for name in folder.retired():
        if name in expired:
            folder.delete_retired(name)
            job.log(f"{name} is expired on record; what was left of its files was removed.")
        else:
            folder.unretire(name)
            job.log(f"{name} was on its way out, but it is not expired on record: it was brought back.")


def _verdicts(job: Job) -> tuple[RetentionDecision, ...]:
    on_record = job.backup_catalog.backups()
    present = {path.name for path in job.target.backups.list()}
    here: list[KeptBackup] = []
    for backup in on_record:
        if backup.name in present:
            here.append(backup)
        else:
            # It keeps nothing: the newest one that is really there must stay.
            job.log(f"{backup.name} is on record, but its files are not there.", level="warning")
    if on_record and not here:
        raise OperationFailed(
            f"No backup of {job.target.name} is in {job.target.backups.root}. Nothing was removed. "
            "Is the disk of the backups mounted?"
        )
    policy = job.backup_catalog.policy()
    job.log(f"Kept is {policy}.")
    verdicts = decide(here, policy, now=dt.datetime.now(dt.UTC))
    for verdict in verdicts:
        job.log(f"{verdict.backup.name} {'goes' if verdict.is_deleted else 'stays'}: {verdict.why}.")
    return verdicts


def _remove(job: Job, verdict: RetentionDecision) -> None:
    folder, name = job.target.backups, verdict.backup.name
    folder.retire(name)
    job.backup_catalog.expire(verdict.backup, verdict.why)
    folder.delete_retired(name)
    job.log(f"{name} was removed.")
