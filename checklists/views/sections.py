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
def section_head(request: HttpRequest, number: int) -> HttpResponse:
    """Show a section's heading and progress; without htmx, redirect to the deployment's page."""
    section = _get_section(request, number)
    if not wants_fragment(request):
        return see_other(request, _section_url(section))
    return render(request, "checklists/_section_head.html", {"part": _part(request, section)})


@require_POST
@member
def completions(request: HttpRequest, number: int) -> HttpResponse:
    """Complete a section's open manual items with one shared note."""
    section = _get_section(request, number)
    with signature_warnings.locked_if_warned(request, section.checklist.deployment, section.stage):
        section.complete_open(current_user(request), posted(request, "note"))
    if not wants_fragment(request):
        return see_other(request, _section_url(section))
    # The items themselves are announced to every open page, including this one.
    return render(request, "checklists/_section_head.html", {"part": _part(request, section)})


def _get_section(request: HttpRequest, number: int) -> Section:
    visible = Section.objects.filter(
        checklist__deployment__in=Deployment.objects.visible_to(current_user(request))
    )
    return get_object_or_404(visible.select_related("checklist__deployment"), pk=number)


def _section_url(section: Section) -> str:
    return f"{section.checklist.deployment.get_absolute_url()}#section-{section.pk}"


def _part(request: HttpRequest, section: Section) -> SectionPart:
    deployment = Deployment.objects.for_page().get(pk=section.checklist.deployment_id)
    for phase in DeploymentPage(deployment, current_user(request)).phases:
        for part in phase.sections:
            if part.section.pk == section.pk:
                return part
    raise Http404
