"""The backup of a production database that is made just before the database is replaced."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.base import Job, OperationFailed, param
from deployctl.operations.framework.postgres_errors import sentence_of
from deployctl.operations.framework.sub_job import sub_job
from deployctl.operations.kinds.backup import Backup

LABEL = "No backup first, because"


@dataclass(frozen=True)
class PreRestoreBackupParams:
    """The parameters of an operation that replaces a production database."""

    no_backup_reason: str = param(
        "",
        label=LABEL,
        help=(
            "On production, what is there now is backed up first. Only where that is impossible, as in a "
            "damaged database, say why; the audit log keeps it."
        ),
        maximum=500,
    )


def back_up_first(job: Job) -> str | None:
    """Back up the target's database if it is production, and record the backup at once.

    It remains on record if the run fails.

    Args:
        job: its parameters are `PreRestoreBackupParams` and `RestoreParams`.

    Returns:
        Its name; None if it was not made, because the target is not production or a person gave a reason.

    Raises:
        OperationFailed: the backup failed; the message says how to continue without it.
        Cancelled: the run was cancelled.
    """
    if not job.target.is_production:
        return None
    if reason := job.params.no_backup_reason.strip():
        job.log(f"What is there now is not backed up first. The reason given: {reason}", level="warning")
        return None
    try:
        made = Backup().perform(sub_job(job, "Back up first", Backup.Params(jobs=job.params.jobs)))
    except (DeployctlError, psycopg.Error) as error:
        job.raise_if_cancelled()
        raise OperationFailed(
            f"{job.target.connection.dbname} is untouched and serves; it could not be backed up first: "
            f"{sentence_of(error)} Correct that; or, if it cannot be backed up at all, start again with the "
            f"reason under “{LABEL}”."
        ) from error
    job.backup_catalog.record_outcome(made)
    job.log(made.summary)
    return made.artefact.name if made.artefact else None
