"""Request the expiry of backups once a day, for targets that have backups to delete."""

from __future__ import annotations

import datetime as dt
import logging

from django.utils import timezone

from deployctl.audit import Machine
from deployctl.errors import DeployctlError
from deployctl.runs.models import Retention, Run, Target

logger = logging.getLogger(__name__)

KIND = "expire_backups"
BY = Machine("retention")
# Less than a day, because the schedule is not exact.
MIN_INTERVAL = dt.timedelta(hours=20)


def request_due() -> int:
    """Request `expire_backups` for every target with a backup to delete.

    If the target is busy, the next call tries again.

    Returns:
        The number of runs requested.
    """
    requested = 0
    recently = Run.objects.filter(kind=KIND, requested_at__gt=timezone.now() - MIN_INTERVAL)
    for target in Target.objects.current().exclude(pk__in=recently.values("target")):
        if not any(decision.is_deleted for decision in Retention.preview(target)):
            continue
        try:
            Run.request(target=target, kind=KIND, params={}, by=BY)
        except DeployctlError as error:
            logger.info("The expiry of backups of %s could not be requested: %s", target, error)
        else:
            requested += 1
    return requested
