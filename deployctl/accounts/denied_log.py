"""Writing down what people were refused, without letting anybody fill the audit log with it."""

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

# More than anybody is refused by honest mistake; beyond it only the fact that there were more is kept.
MOST_PER_HOUR = 60


def record(
    action: Action,
    *,
    by: User,
    data: dict[str, Any],
    subject: models.Model | None = None,
    deployment_id: int | None = None,
) -> Entry | None:
    """Append an entry about a refusal, in a transaction of its own.

    Args:
        action: such as `Action.ACCESS_DENIED`.
        by: who was refused.
        data, subject, deployment_id: see `audit.append`.

    Returns:
        the entry, or None where the person's share of the hour is used up.
    """
    an_hour_ago = timezone.now() - dt.timedelta(hours=1)
    noted = Entry.objects.filter(actor_id=by.pk, action=str(action), at__gt=an_hour_ago).count()
    if noted >= MOST_PER_HOUR:
        return None
    if noted == MOST_PER_HOUR - 1:
        data = data | {"further": "More refusals within this hour are not written down."}
    with transaction.atomic():
        return audit.append(action, by=by, subject=subject, deployment_id=deployment_id, data=data)
