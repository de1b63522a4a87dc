"""Every deployment there was: filtered, on pages, and as a table for other programs."""

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
    "Begun",
    "Ended",
    "Duration in minutes",
    "Created by",
    "Team",
)
# What spreadsheets take for the beginning of a formula (OWASP, CSV Injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@require_safe
@member
def history(request: HttpRequest) -> HttpResponse:
    """The table."""
    form, found = _found(request)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
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
    """The same, whole, as comma-separated values; times in UTC.

    Raises:
        InvalidInput: the filter makes no sense; an empty table would say that there is nothing.
    """
    form, found = _found(request)
    if not form.is_valid():
        wrong = (f"{form[name].label}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())
        raise InvalidInput(f"The filter cannot be used, so there is no table. {' '.join(wrong)}")
    # Not streamed: an ASGI server would gather the rows of a synchronous stream first anyway.
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="deployments.csv"'
    csv.writer(response).writerows(_rows(found))
    return response


def _found(request: HttpRequest) -> tuple[HistoryForm, DeploymentQuerySet]:
    by = current_user(request)
    form = HistoryForm(request.GET, user=by)
    visible = Deployment.objects.visible_to(by).for_page().with_times()
    return form, form.narrow(visible).order_by("-window_start", "-pk")


def _rows(found: DeploymentQuerySet) -> Iterator[list[str]]:
    yield list(COLUMNS)
    for deployment in found.iterator(chunk_size=200):
        yield [harmless(value) for value in _values(deployment)]


def _values(deployment: Any) -> Iterator[object]:
    length = deployment.duration
    yield from (deployment.pk, deployment.title, deployment.target.name)
    yield from (deployment.target.get_environment_display(), deployment.get_state_display())
    yield deployment.template_version
    moments = (deployment.window_start, deployment.window_end, deployment.began_at, deployment.ended_at)
    for moment in moments:
        yield "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
    yield "" if length is None else round(length.total_seconds() / 60)
    yield deployment.created_by_name
    yield ", ".join(f"{seat.user} ({seat.get_role_display()})" for seat in deployment.team.all())


def harmless(value: object) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before what would be one."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
