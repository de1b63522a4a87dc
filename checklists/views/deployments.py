"""Deployments: the list, the page of one deployment and its live parts."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from checklists import readiness
from checklists.models import Deployment
from checklists.presenters import DeploymentPage, Show
from checklists.presenters.rollback_panel import rollback_panel_of
from checklists.presenters.stepper import stepper_of
from checklists.presenters.timeline import halt_of, timeline_of
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member
from deployctl.accounts.roles import Permission
from deployctl.web.http import see_other, wants_fragment

PER_PAGE = 25


@require_safe
@member
def deployment_list(request: HttpRequest) -> HttpResponse:
    """What is planned or under way, the nearest window first. What has ended is in the history."""
    by = current_user(request)
    found = Deployment.objects.visible_to(by).next_first().for_page()
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    verdicts = readiness.next_gate_blockers(page.object_list)
    context = {
        "page": page,
        "lines": [(deployment, verdicts[deployment.pk]) for deployment in page.object_list],
        "may_create": by.may(Permission.OPERATOR),
    }
    return render(request, "checklists/deployment_list.html", context)


@require_safe
@member
def deployment(request: HttpRequest, number: int) -> HttpResponse:
    """The page."""
    page = _page(request, number)
    context = _state(page) | {"page": page, "timeline": timeline_of(page.deployment)}
    return render(request, "checklists/deployment_detail.html", context)


@require_safe
@member
def part(request: HttpRequest, number: int, name: str) -> HttpResponse:
    """One live part of the page: state, progress or timeline."""
    page = _page(request, number)
    if not wants_fragment(request):
        return see_other(request, page.deployment.get_absolute_url())
    if name == "state":
        return render(request, "checklists/_deployment_state.html", _state(page))
    if name == "progress":
        return render(request, "checklists/_deployment_progress.html", {"page": page})
    lines = timeline_of(page.deployment)
    context = {"deployment": page.deployment, "timeline": lines}
    return render(request, "checklists/_deployment_timeline.html", context)


@require_safe
@member
def phase(request: HttpRequest, number: int, position: int) -> HttpResponse:
    """The head of a phase with its progress."""
    page = _page(request, number)
    found = next((each for each in page.phases if each.number == position), None)
    if found is None:
        raise Http404
    if not wants_fragment(request):
        return see_other(request, f"{page.deployment.get_absolute_url()}#{found.identifier}")
    return render(request, "checklists/_phase_head.html", {"phase": found})


def _page(request: HttpRequest, number: int) -> DeploymentPage:
    by = current_user(request)
    found = get_object_or_404(Deployment.objects.visible_to(by).for_page(), pk=number)
    return DeploymentPage(found, by, Show.read(request.GET.get("show")), request.GET.get("find", ""))


def _state(page: DeploymentPage) -> dict[str, Any]:
    """Where it is, what is in the way, and what the viewer may do about it."""
    return {
        "deployment": page.deployment,
        "blockers": page.blockers,
        "running": page.running,
        "stepper": stepper_of(page),
        "halt": halt_of(page.deployment),
        "rollback_panel": rollback_panel_of(page),
    }
