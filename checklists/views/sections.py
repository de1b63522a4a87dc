"""Show a section's progress, and complete its open items together."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from checklists import signature_warnings
from checklists.models import Deployment, Section
from checklists.presenters import DeploymentPage, SectionPart
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member
from deployctl.web.http import posted, see_other, wants_fragment


@require_safe
@member
def section(request: HttpRequest, number: int) -> HttpResponse:
    """Show a section's heading and progress; without htmx, redirect to the deployment's page."""
    found = _section(request, number)
    if not wants_fragment(request):
        return see_other(request, _section_url(found))
    return render(request, "checklists/_section_head.html", {"part": _part(request, found)})


@require_POST
@member
def completions(request: HttpRequest, number: int) -> HttpResponse:
    """Complete a section's open manual items with one shared note."""
    found = _section(request, number)
    with signature_warnings.locked_if_warned(request, found.checklist.deployment, found.stage):
        found.complete_open(current_user(request), posted(request, "note"))
    if not wants_fragment(request):
        return see_other(request, _section_url(found))
    # The items themselves are announced to every open page, including this one.
    return render(request, "checklists/_section_head.html", {"part": _part(request, found)})


def _section(request: HttpRequest, number: int) -> Section:
    visible = Section.objects.filter(
        checklist__deployment__in=Deployment.objects.visible_to(current_user(request))
    )
    return get_object_or_404(visible.select_related("checklist__deployment"), pk=number)


def _section_url(found: Section) -> str:
    return f"{found.checklist.deployment.get_absolute_url()}#section-{found.pk}"


def _part(request: HttpRequest, found: Section) -> SectionPart:
    deployment = Deployment.objects.for_page().get(pk=found.checklist.deployment_id)
    for phase in DeploymentPage(deployment, current_user(request)).phases:
        for part in phase.sections:
            if part.section.pk == found.pk:
                return part
    raise Http404
