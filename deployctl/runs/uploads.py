"""Store, import and clean up uploaded backups."""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings

from deployctl.audit import Actor
from deployctl.runs.models import Run, Target
from deployctl.runs.permissions import require_backup_transfer
from deployctl.storage import Uploads

logger = logging.getLogger(__name__)

KIND = "import_backup"
MAX_NAME_LENGTH = 200
# The run that imports an upload starts within seconds; an older upload was abandoned.
KEPT_FOR = dt.timedelta(days=1)


def of(target: Target) -> Uploads:
    """Return the uploads of a target that are not imported yet."""
    return Uploads(
        target.backup_folder(),
        max_bytes=settings.DEPLOYCTL_UPLOAD_MB * 1024**2,
        max_unpacked_bytes=settings.DEPLOYCTL_UPLOAD_UNPACKED_MB * 1024**2,
    )


def request_import(target: Target, number: str, *, file_name: str, by: Actor) -> Run:
    """Request a run that imports an upload as a backup.

    Args:
        number: the number of the upload.
        file_name: the original name of the file, for the record.
        by: as for `permissions.may_transfer_backups`.

    Raises:
        NotAllowed: `by` may not upload backups.
        Refusal: the target is archived.
    """
    require_backup_transfer(by, target)
    return Run.request(
        target=target, kind=KIND, params={"upload": number, "file_name": _shown(file_name)}, by=by
    )


def remove_abandoned() -> int:
    """Remove the abandoned uploads of all targets, and return their number.

    A target whose folder cannot be read does not block the others.
    """
    removed = 0
    for target in Target.objects.all():
        try:
            removed += len(of(target).remove_older(KEPT_FOR))
        except OSError as error:
            logger.warning("Abandoned uploads to %s could not be removed: %s", target, error)
    return removed


def _shown(file_name: str) -> str:
    """Return the last part of an untrusted file name, printable and cut to the maximum length."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(one if one.isprintable() else "�" for one in last)[:MAX_NAME_LENGTH] or "unnamed file"
