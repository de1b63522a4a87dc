"""Deployments: the list, the page that tells the whole story and its live parts."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from checklists import readiness
from checklists.models import Deployment
from checklists.story import Show, Story
from checklists.story.course import course_of
from checklists.story.returning import returning_of
from checklists.story.timeline import halt_of, timeline_of
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
    verdicts = readiness.verdicts(page.object_list)
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
    story = _story(request, number)
    context = _state(story) | {"story": story, "timeline": timeline_of(story.deployment)}
    return render(request, "checklists/deployment_detail.html", context)


@require_safe
@member
def part(request: HttpRequest, number: int, name: str) -> HttpResponse:
    """One live part of the page: state, progress or timeline."""
    story = _story(request, number)
    if not wants_fragment(request):
        return see_other(request, story.deployment.get_absolute_url())
    if name == "state":
        return render(request, "checklists/_deployment_state.html", _state(story))
    if name == "progress":
        return render(request, "checklists/_deployment_progress.html", {"story": story})
    lines = timeline_of(story.deployment)
    context = {"deployment": story.deployment, "timeline": lines}
    return render(request, "checklists/_deployment_timeline.html", context)


@require_safe
@member
def phase(request: HttpRequest, number: int, position: int) -> HttpResponse:
    """The head of a phase with its progress."""
    story = _story(request, number)
    found = next((each for each in story.phases if each.number == position), None)
    if found is None:
        raise Http404
    if not wants_fragment(request):
        return see_other(request, f"{story.deployment.get_absolute_url()}#{found.identifier}")
    return render(request, "checklists/_phase_head.html", {"phase": found})


def _story(request: HttpRequest, number: int) -> Story:
    by = current_user(request)
    found = get_object_or_404(Deployment.objects.visible_to(by).for_page(), pk=number)
    return Story(found, by, Show.read(request.GET.get("show")), request.GET.get("find", ""))


def _state(story: Story) -> dict[str, Any]:
    """Where it is, what is in the way, and what the viewer may do about it."""
    return {
        "deployment": story.deployment,
        "blockers": story.blockers,
        "running": story.running,
        "course": course_of(story),
        "halt": halt_of(story.deployment),
        "returning": returning_of(story),
    }
