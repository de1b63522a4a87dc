"""Show past and present deployments with filters, and export them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from checklists.forms.history import HistoryForm
from checklists.models import Deployment
from checklists.models.deployment_queries import DeploymentQuerySet
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member
from deployctl.errors import InvalidInput
from deployctl.web.http import page_or_fragment

PER_PAGE = 25
COLUMNS = (
    "Number",
    "Title",
    "Target",
    "Environment",
    "State",
    "Template",
    "Window start",
    "Window end",
    "Started",
    "Ended",
    "Duration in minutes",
    "Created by",
    "Team",
)
# Spreadsheets interpret a cell that starts with one of these as a formula (OWASP, CSV Injection).
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n")


@require_safe
@member
def history(request: HttpRequest) -> HttpResponse:
    """List deployments, the newest window first."""
    form, deployments = _filtered_deployments(request)
    page = Paginator(deployments, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "page": page,
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "query": request.GET.urlencode(),
    }
    status = 200 if form.is_valid() else 422
    return page_or_fragment(
        request, "checklists/history.html", "checklists/_history.html", context, status=status
    )


@require_safe
@member
def history_csv(request: HttpRequest) -> HttpResponse:
    """Download all matching deployments as CSV, with times in UTC.

    Raises:
        InvalidInput: the filter is invalid. An empty table would suggest that no deployment matches.
    """
    form, deployments = _filtered_deployments(request)
    if not form.is_valid():
        errors = (f"{form[name].label}: {' '.join(map(str, texts))}" for name, texts in form.errors.items())
        raise InvalidInput(f"The filter isn't valid, so nothing was exported. {' '.join(errors)}")
    # Not streamed: an ASGI server collects the rows of a synchronous stream before it sends them.
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="deployments.csv"'
    csv.writer(response).writerows(_rows(deployments))
    return response


def _filtered_deployments(request: HttpRequest) -> tuple[HistoryForm, DeploymentQuerySet]:
    by = current_user(request)
    form = HistoryForm(request.GET, user=by)
    visible = Deployment.objects.visible_to(by).for_page().with_times()
    return form, form.apply(visible).order_by("-window_start", "-pk")


def _rows(deployments: DeploymentQuerySet) -> Iterator[list[str]]:
    yield list(COLUMNS)
    for deployment in deployments.iterator(chunk_size=200):
        yield [escape_formula(value) for value in _values(deployment)]


def _values(deployment: Any) -> Iterator[object]:
    duration = deployment.duration
    yield from (deployment.pk, deployment.title, deployment.target.name)
    yield from (deployment.target.get_environment_display(), deployment.get_state_display())
    yield deployment.template_version
    times = (deployment.window_start, deployment.window_end, deployment.began_at, deployment.ended_at)
    for time in times:
        yield "" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"
    yield "" if duration is None else round(duration.total_seconds() / 60)
    yield deployment.created_by_name
    yield ", ".join(f"{member.user} ({member.get_role_display()})" for member in deployment.team.all())


def escape_formula(value: object) -> str:
    """Return the value as text, with a leading apostrophe if a spreadsheet would read it as a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_PREFIXES) else text
