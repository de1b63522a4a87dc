"""Runs: the list, one of them live, and what may be done about it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts.policies import member, operator
from deployctl.accounts.requests import person
from deployctl.operations import catalogue
from deployctl.runs.forms import DecisionForm
from deployctl.runs.models import Backup, Run, RunState, Target
from deployctl.runs.permissions import may_operate, movable_targets
from deployctl.web.http import page_or_fragment, see_other, wants_fragment

PER_PAGE = 50
LOG_PER_PAGE = 1000
LINES_AT_FIRST = 500

# The parts of a run's page that change while it goes on, each with its template.
PARTS = {
    "outcome": "runs/_run.html",
    "steps": "runs/_run_steps.html",
    "progress": "runs/_run_progress.html",
}


@member
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """Every run, newest first; `?state=` shows those of one state."""
    runs = Run.objects.visible_to(request.user).select_related("target")
    state = request.GET.get("state", "")
    if state in RunState.values:
        runs = runs.filter(state=state)
    page = Paginator(runs, PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "runs": page.object_list, "state": state, "states": RunState.choices}
    return page_or_fragment(request, "runs/run_list.html", "runs/_runs.html", context)


@member
@require_safe
def run_detail(request: HttpRequest, number: int) -> HttpResponse:
    """One run: steps, progress, log, and what next."""
    run = _run(request, number)
    context = _context(request, run)
    context["lines"] = run.lines.newest(LINES_AT_FIRST)
    return render(request, "runs/run_detail.html", context)


@member
@require_safe
def run_part(request: HttpRequest, number: int, part: str) -> HttpResponse:
    """A part of the page that changed."""
    if part not in PARTS:
        raise Http404
    return render(request, PARTS[part], _context(request, _run(request, number)))


@member
@require_safe
def run_log(request: HttpRequest, number: int) -> HttpResponse:
    """The whole log page by page; `?find=` shows the lines that hold a text."""
    run = _run(request, number)
    find = request.GET.get("find", "").strip()
    lines = run.lines.filter(text__icontains=find) if find else run.lines.all()
    page = Paginator(lines, LOG_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "runs/run_log.html", {"run": run, "page": page, "find": find})


@operator
@require_POST
def run_cancellation(request: HttpRequest, number: int) -> HttpResponse:
    """Ask a run to stop."""
    run = _run(request, number)
    run.cancel(by=person(request))
    return _changed(request, run)


@operator
@require_POST
def run_decision(request: HttpRequest, number: int) -> HttpResponse:
    """Say what became of a run whose worker was lost."""
    run = _run(request, number)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        context = {**_context(request, run), "decision_form": form, "lines": run.lines.newest(LINES_AT_FIRST)}
        return page_or_fragment(request, "runs/run_detail.html", "runs/_run.html", context, status=422)
    run.decide(by=person(request), outcome=form.cleaned_data["outcome"], note=form.cleaned_data["note"])
    return _changed(request, run)


@member
@require_safe
def backup_list(request: HttpRequest, name: str = "") -> HttpResponse:
    """Every backup, or those of one target, newest first."""
    backups = Backup.objects.visible_to(request.user).for_display()
    if name:
        backups = backups.filter(target__name__iexact=name)
    page = Paginator(backups, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "backups": page.object_list,
        "target_name": name,
        "movable": (movable := movable_targets(person(request))),
        "may_upload": Target.objects.current().filter(name__iexact=name, pk__in=movable).exists(),
    }
    return page_or_fragment(request, "runs/backup_list.html", "runs/_backups.html", context)


def _changed(request: HttpRequest, run: Run) -> HttpResponse:
    if wants_fragment(request):
        return render(request, "runs/_run.html", _context(request, run))
    return see_other(request, reverse("runs:run", args=[run.pk]))


def _context(request: HttpRequest, run: Run) -> dict[str, Any]:
    operates = may_operate(person(request))
    ended_badly = run.state in {RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED}
    return {
        "run": run,
        "steps": run.steps.all(),
        "backup": Backup.objects.filter(run=run).first(),
        "may_cancel": operates and run.is_unfinished and run.cancel_requested_at is None,
        "may_decide": operates and run.state == RunState.UNKNOWN,
        # What belongs to a deployment is started again from its item, which checks more.
        "may_repeat": operates and ended_badly and not run.authority and _is_offered(run),
        "decision_form": DecisionForm(),
    }


def _is_offered(run: Run) -> bool:
    """Whether people start such a run by itself; an upload that failed, for one, is gone."""
    known = catalogue().get(run.kind)
    return known is not None and known.offered


def _run(request: HttpRequest, number: int) -> Run:
    runs = Run.objects.visible_to(request.user).select_related("target", "decision")
    return get_object_or_404(runs, pk=number)
