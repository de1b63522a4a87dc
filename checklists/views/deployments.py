"""Show the list of deployments, a deployment's page, and the fragments that are updated live."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from checklists import readiness
from checklists.models import Deployment
from checklists.presenters import DeploymentPage, ItemFilter
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
    """List planned and active deployments, the next window first; ended ones are in the history."""
    by = current_user(request)
    deployments = Deployment.objects.visible_to(by).next_first().for_page()
    page = Paginator(deployments, PER_PAGE).get_page(request.GET.get("page"))
    verdicts = readiness.next_gate_blockers(page.object_list)
    context = {
        "page": page,
        "rows": [(deployment, verdicts[deployment.pk]) for deployment in page.object_list],
        "may_create": by.may(Permission.OPERATOR),
    }
    return render(request, "checklists/deployment_list.html", context)


@require_safe
@member
def deployment_detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show a deployment."""
    page = _page(request, number)
    context = _state_context(page) | {"page": page, "timeline": timeline_of(page.deployment)}
    return render(request, "checklists/deployment_detail.html", context)


@require_safe
@member
def deployment_fragment(request: HttpRequest, number: int, name: str) -> HttpResponse:
    """Show one fragment of a deployment's page: state, progress or timeline."""
    page = _page(request, number)
    if not wants_fragment(request):
        return see_other(request, page.deployment.get_absolute_url())
    if name == "state":
        return render(request, "checklists/_deployment_state.html", _state_context(page))
    if name == "progress":
        return render(request, "checklists/_deployment_progress.html", {"page": page})
    context = {"deployment": page.deployment, "timeline": timeline_of(page.deployment)}
    return render(request, "checklists/_deployment_timeline.html", context)


@require_safe
@member
def phase_head(request: HttpRequest, number: int, position: int) -> HttpResponse:
    """Show a phase's heading and progress."""
    page = _page(request, number)
    phase = next((each for each in page.phases if each.number == position), None)
    if phase is None:
        raise Http404
    if not wants_fragment(request):
        return see_other(request, f"{page.deployment.get_absolute_url()}#{phase.identifier}")
    return render(request, "checklists/_phase_head.html", {"phase": phase})


def _page(request: HttpRequest, number: int) -> DeploymentPage:
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by).for_page(), pk=number)
    return DeploymentPage(
        deployment, by, ItemFilter.parse(request.GET.get("show")), request.GET.get("find", "")
    )


def _state_context(page: DeploymentPage) -> dict[str, Any]:
    return {
        "deployment": page.deployment,
        "blockers": page.blockers,
        "running": page.running,
        "stepper": stepper_of(page),
        "halt": halt_of(page.deployment),
        "rollback_panel": rollback_panel_of(page),
    }
