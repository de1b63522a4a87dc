"""Backing up what is there just before it is replaced."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.base import Job, OperationFailed, param
from deployctl.operations.kinds.backup import Backup
from deployctl.operations.parts import part_of
from deployctl.operations.sentences import message_of

LABEL = "No backup first, because"


@dataclass(frozen=True)
class SecuringParams:
    """What an operation takes that replaces a production database."""

    no_backup_because: str = param(
        "",
        label=LABEL,
        help=(
            "On production, what is there now is backed up first. Only where that is impossible, as in a "
            "damaged database, say why; the audit log keeps it."
        ),
        maximum=500,
    )


def back_up_first(job: Job) -> str | None:
    """On production, make a backup of the target's database and put it on record at once.

    It stays whatever becomes of the run. The parameters are `SecuringParams` and `restoring.RestoreParams`.

    Returns:
        Its name; None where none was made, because it is not production or a person said why not.

    Raises:
        OperationFailed: it could not be made; says how to go on without.
        Cancelled: somebody cancelled the run.
    """
    if not job.target.is_production:
        return None
    if reason := job.params.no_backup_because.strip():
        job.log(f"What is there now is not backed up first. The reason given: {reason}", level="warning")
        return None
    try:
        made = Backup().perform(part_of(job, "Back up first", Backup.Params(jobs=job.params.jobs)))
    except (DeployctlError, psycopg.Error) as error:
        job.raise_if_cancelled()
        said = error.sentence if isinstance(error, DeployctlError) else f"{message_of(error)}."
        raise OperationFailed(
            f"{job.target.connection.dbname} is untouched and serves, for what is in it could not be backed "
            f"up first: {said} Mend that; or, where it cannot be backed up at all, start again and say why "
            f"under “{LABEL}”."
        ) from error
    job.shelf.settle(made)
    job.log(made.summary)
    return made.artefact.name if made.artefact else None
