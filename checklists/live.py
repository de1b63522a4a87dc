"""Who may watch what live: everybody who may read it."""

from __future__ import annotations

from typing import Any

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.web.http import row_number
from deployctl.web.live import register_channel


def _may_watch_deployment(user: Any, number: str) -> bool:
    return (
        isinstance(user, User) and Deployment.objects.visible_to(user).filter(pk=row_number(number)).exists()
    )


register_channel("deployment", _may_watch_deployment)
