"""Back up a production database before a restore replaces it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.base import Job, OperationFailed, param
from deployctl.operations.framework.postgres_errors import sentence_of
from deployctl.operations.framework.sub_job import sub_job
from deployctl.operations.kinds.backup import Backup

LABEL = "Reason to skip the pre-restore backup"


@dataclass(frozen=True)
class PreRestoreBackupParams:
    """The parameters of an operation that replaces a production database."""

    no_backup_reason: str = param(
        "",
        label=LABEL,
        help=(
            "On production, the current database is backed up first. Give a reason only if that is "
            "impossible, for example because the database is damaged. The audit log records it."
        ),
        maximum=500,
    )


def back_up_first(job: Job) -> str | None:
    """Back up the target's database if it is production, and record the backup at once.

    The backup stays on record even if the run fails afterwards.

    Args:
        job: a run with `PreRestoreBackupParams` and `RestoreParams`.

    Returns:
        The backup's name; None if the target is not production, or if a reason to skip the backup was given.

    Raises:
        OperationFailed: the backup failed; the message says how to skip it.
        Cancelled: the run was cancelled.
    """
    if not job.target.is_production:
        return None
    if reason := job.params.no_backup_reason.strip():
        job.log(f"The pre-restore backup is skipped. Reason: {reason}", level="warning")
        return None
    try:
        made = Backup().perform(sub_job(job, "Back up first", Backup.Params(jobs=job.params.jobs)))
    except (DeployctlError, psycopg.Error) as error:
        job.raise_if_cancelled()
        raise OperationFailed(
            f"The pre-restore backup failed, and {job.target.connection.dbname} is unchanged: "
            f"{sentence_of(error)} Correct the cause; or, if no backup is possible, start again and fill in "
            f"“{LABEL}”."
        ) from error
    job.backup_catalog.record_outcome(made)
    job.log(made.summary)
    return made.artefact.name if made.artefact else None
