"""The first page: what waits on the viewer, what runs, what ships next."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from checklists import readiness
from checklists.models import Deployment, Item, Template
from deployctl.accounts.current_user import current_user
from deployctl.accounts.models import User
from deployctl.accounts.policies import member
from deployctl.accounts.roles import Permission
from deployctl.runs.models import Run, RunState, Target
from deployctl.web.http import see_other, wants_fragment

ITEMS_SHOWN = 12
NEXT_SHOWN = 3


@require_safe
@member
def home(request: HttpRequest) -> HttpResponse:
    """The page."""
    by = current_user(request)
    context = _waiting(by) | _runs(by) | _next(by)
    if not context["next"] and not Deployment.objects.exists():
        context |= _beginning(by)
    return render(request, "checklists/home.html", context)


@require_safe
@member
def home_part(request: HttpRequest, name: str) -> HttpResponse:
    """One live part of it."""
    parts = {"waiting": _waiting, "runs": _runs, "next": _next}
    if name not in parts:
        raise Http404
    if not wants_fragment(request):
        return see_other(request, "/")
    return render(request, f"checklists/_home_{name}.html", parts[name](current_user(request)))


def _waiting(by: User) -> dict[str, Any]:
    items = list(Item.objects.outstanding_for(by)[: ITEMS_SHOWN + 1])
    return {
        "items": items[:ITEMS_SHOWN],
        "more_items": len(items) > ITEMS_SHOWN,
        "others": readiness.pending_actions(by),
        "decisions": _decisions(by),
        "consents": list(Run.objects.visible_to(by).waiting_for(by).select_related("target")),
    }


def _decisions(by: User) -> list[Run]:
    """Runs whose outcome nobody knows, for those who may decide it."""
    if not by.may(Permission.OPERATOR):
        return []
    return list(Run.objects.visible_to(by).filter(state=RunState.UNKNOWN).select_related("target"))


def _runs(by: User) -> dict[str, Any]:
    under_way = [RunState.WAITING, RunState.QUEUED, RunState.RUNNING]
    found = Run.objects.visible_to(by).filter(state__in=under_way).select_related("target")
    return {"runs": list(found)}


def _next(by: User) -> dict[str, Any]:
    found = list(Deployment.objects.visible_to(by).next_first().select_related("target")[:NEXT_SHOWN])
    verdicts = readiness.next_gate_blockers(found)
    return {"next": [(deployment, verdicts[deployment.pk]) for deployment in found]}


def _beginning(by: User) -> dict[str, Any]:
    """What to do first, where there is nothing yet."""
    has_target, has_template = Target.objects.current().exists(), Template.objects.published().exists()
    return {
        "beginning": {
            "has_people": User.objects.count() > 1,
            "has_target": has_target,
            "has_template": has_template,
            "may_administer": by.may(Permission.ADMINISTRATOR),
            "may_plan": by.may(Permission.OPERATOR),
        }
    }
