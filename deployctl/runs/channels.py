"""Who may watch what live: whoever may look at it."""

from __future__ import annotations

from typing import Any

from deployctl.runs.models import Run, Target
from deployctl.runs.permissions import may_see
from deployctl.web.http import row_number
from deployctl.web.live import register_channel


def _may_watch_run(user: Any, number: str) -> bool:
    return Run.objects.visible_to(user).filter(pk=row_number(number)).exists()


def _may_watch_target(user: Any, name: str) -> bool:
    return Target.objects.visible_to(user).filter(name=name).exists()


def _may_watch_lists(user: Any, _: str) -> bool:
    return may_see(user)


register_channel("run", _may_watch_run)
register_channel("target", _may_watch_target)
register_channel("home", _may_watch_lists)
