"""Has backups expired once a day, where there is something to remove."""

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
# Less than a day, so that a sweep that comes a little early does not wait for the day after.
AT_MOST_EVERY = dt.timedelta(hours=20)


def request_due() -> int:
    """Request the operation for every target of which a backup would go.

    Where somebody works on the target, the next sweep tries again.

    Returns:
        How many runs were requested.
    """
    requested = 0
    recently = Run.objects.filter(kind=KIND, requested_at__gt=timezone.now() - AT_MOST_EVERY)
    for target in Target.objects.current().exclude(pk__in=recently.values("target")):
        if not any(verdict.goes for verdict in Retention.preview(target)):
            continue
        try:
            Run.request(target=target, kind=KIND, params={}, by=BY)
        except DeployctlError as error:
            logger.info("Backups of %s are not expired now: %s", target, error)
        else:
            requested += 1
    return requested
