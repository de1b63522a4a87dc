"""Show the home page: the viewer's tasks, active runs and the next deployments."""

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
    """Show the home page, with setup steps while no deployment exists."""
    by = current_user(request)
    context = _tasks(by) | _runs(by) | _next(by)
    if not context["next"] and not Deployment.objects.exists():
        context |= _setup(by)
    return render(request, "checklists/home.html", context)


@require_safe
@member
def home_fragment(request: HttpRequest, name: str) -> HttpResponse:
    """Show one fragment of the home page: tasks, runs or next."""
    contexts = {"tasks": _tasks, "runs": _runs, "next": _next}
    if name not in contexts:
        raise Http404
    if not wants_fragment(request):
        return see_other(request, "/")
    return render(request, f"checklists/_home_{name}.html", contexts[name](current_user(request)))


def _tasks(by: User) -> dict[str, Any]:
    items = list(Item.objects.outstanding_for(by)[: ITEMS_SHOWN + 1])
    return {
        "items": items[:ITEMS_SHOWN],
        "more_items": len(items) > ITEMS_SHOWN,
        "pending_actions": readiness.pending_actions(by),
        "decisions": _decisions(by),
        "consents": list(Run.objects.visible_to(by).waiting_for(by).select_related("target")),
    }


def _decisions(by: User) -> list[Run]:
    """Return the runs with unknown outcome, if the user may decide them."""
    if not by.may(Permission.OPERATOR):
        return []
    return list(Run.objects.visible_to(by).filter(state=RunState.UNKNOWN).select_related("target"))


def _runs(by: User) -> dict[str, Any]:
    active = [RunState.WAITING, RunState.QUEUED, RunState.RUNNING]
    return {"runs": list(Run.objects.visible_to(by).filter(state__in=active).select_related("target"))}


def _next(by: User) -> dict[str, Any]:
    deployments = list(Deployment.objects.visible_to(by).next_first().select_related("target")[:NEXT_SHOWN])
    verdicts = readiness.next_gate_blockers(deployments)
    return {"next": [(deployment, verdicts[deployment.pk]) for deployment in deployments]}


def _setup(by: User) -> dict[str, Any]:
    return {
        "setup": {
            "has_people": User.objects.count() > 1,
            "has_target": Target.objects.current().exists(),
            "has_template": Template.objects.published().exists(),
            "may_administer": by.may(Permission.ADMINISTRATOR),
            "may_plan": by.may(Permission.OPERATOR),
        }
    }
