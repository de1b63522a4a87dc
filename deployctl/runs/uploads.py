"""Backups that people send in: where they are kept, and how they become backups on record."""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings

from deployctl.audit import Actor
from deployctl.runs.models import Run, Target
from deployctl.runs.permissions import require_mover
from deployctl.storage import Uploads

logger = logging.getLogger(__name__)

KIND = "take_in"
LONGEST_NAME = 200
# A run that takes one in starts within seconds; what is older was given up.
KEPT_FOR = dt.timedelta(days=1)


def of(target: Target) -> Uploads:
    """What was sent in for a target and not taken in yet."""
    return Uploads(
        target.backup_folder(),
        max_bytes=settings.DEPLOYCTL_UPLOAD_MB * 1024**2,
        max_unpacked_bytes=settings.DEPLOYCTL_UPLOAD_UNPACKED_MB * 1024**2,
    )


def take_in(target: Target, number: str, *, file_name: str, by: Actor) -> Run:
    """Have a worker make a backup of what was sent in.

    Args:
        number: of the upload.
        file_name: what it was called where it comes from, for the record only.
        by: as `permissions.may_move_backups` has it.

    Raises:
        NotAllowed: `by` may not.
        Refusal: the target is archived.
    """
    require_mover(by, target)
    return Run.request(
        target=target, kind=KIND, params={"upload": number, "file_name": _shown(file_name)}, by=by
    )


def remove_given_up() -> int:
    """Remove what was sent in and never taken in, of every target. Returns how many there were.

    Where the folder of a target cannot be read, the others' are cleared all the same.
    """
    removed = 0
    for target in Target.objects.all():
        try:
            removed += len(of(target).remove_older(KEPT_FOR))
        except OSError as error:
            logger.warning("Uploads to %s that were given up are not removed now: %s", target, error)
    return removed


def _shown(file_name: str) -> str:
    """A stranger's file name as text: its last part, printable, not too long."""
    last = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return (
        "".join(one if one.isprintable() else "�" for one in last)[:LONGEST_NAME] or "a file without a name"
    )
