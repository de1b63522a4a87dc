"""Audit denied requests, at most a fixed number per person and hour."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django.utils import timezone

from deployctl import audit
from deployctl.audit import Action
from deployctl.audit.models import Entry

if TYPE_CHECKING:
    from deployctl.accounts.models.user import User

# More than anybody causes by honest mistake. The last entry states that further ones are left out.
MAX_PER_HOUR = 60


def record(
    action: Action,
    *,
    by: User,
    data: dict[str, Any],
    subject: models.Model | None = None,
    deployment_id: int | None = None,
) -> Entry | None:
    """Append an entry about a denied request, in its own transaction.

    Args:
        action: such as `Action.ACCESS_DENIED`.
        by: the person whose request was denied.
        data, subject, deployment_id: see `audit.append`.

    Returns:
        The entry, or None if the person reached the hourly limit.
    """
    an_hour_ago = timezone.now() - dt.timedelta(hours=1)
    logged = Entry.objects.filter(actor_id=by.pk, action=str(action), at__gt=an_hour_ago).count()
    if logged >= MAX_PER_HOUR:
        return None
    if logged == MAX_PER_HOUR - 1:
        data = data | {"further": "Further denied requests within this hour are not logged."}
    with transaction.atomic():
        return audit.append(action, by=by, subject=subject, deployment_id=deployment_id, data=data)
