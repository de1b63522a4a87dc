"""Views of runs and backups: lists, the live page of a run, its log, cancellation, decision and consent."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member, operator, step_up
from deployctl.operations import catalogue
from deployctl.runs import lock_waits, lost_run_diagnostics, preconditions
from deployctl.runs.forms.operations import DecisionForm
from deployctl.runs.models import Backup, Run, RunState, Target
from deployctl.runs.permissions import may_operate
from deployctl.web.http import page_or_fragment, posted, see_other, wants_fragment

PER_PAGE = 50
LOG_PER_PAGE = 1000
INITIAL_LINES = 500

# The parts of a run's page that are updated live, with their templates.
PARTS = {
    "outcome": "runs/_run.html",
    "steps": "runs/_run_steps.html",
    "progress": "runs/_run_progress.html",
}


@member
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """List the runs, newest first; `?state=` filters by state."""
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
    """Show a run: steps, progress, log and next step."""
    run = _run(request, number)
    context = _context(request, run)
    context["lines"] = run.lines.newest(INITIAL_LINES)
    return render(request, "runs/run_detail.html", context)


@member
@require_safe
def run_part(request: HttpRequest, number: int, part: str) -> HttpResponse:
    """Show a part of the page, for a live update."""
    if part not in PARTS:
        raise Http404
    return render(request, PARTS[part], _context(request, _run(request, number)))


@member
@require_safe
def run_log(request: HttpRequest, number: int) -> HttpResponse:
    """Show a page of the log; `?find=` filters by text."""
    run = _run(request, number)
    find = request.GET.get("find", "").strip()
    lines = run.lines.filter(text__icontains=find) if find else run.lines.all()
    page = Paginator(lines, LOG_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "runs/run_log.html", {"run": run, "page": page, "find": find})


@operator
@require_POST
def run_cancellation(request: HttpRequest, number: int) -> HttpResponse:
    """Cancel a run."""
    run = _run(request, number)
    run.cancel(by=current_user(request))
    return _changed(request, run)


@operator
@require_POST
def run_decision(request: HttpRequest, number: int) -> HttpResponse:
    """Decide the outcome of a run whose worker was lost."""
    run = _run(request, number)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        context = {**_context(request, run), "decision_form": form, "lines": run.lines.newest(INITIAL_LINES)}
        return page_or_fragment(request, "runs/run_detail.html", "runs/_run.html", context, status=422)
    run.decide(by=current_user(request), outcome=form.cleaned_data["outcome"], note=form.cleaned_data["note"])
    return _changed(request, run)


@operator
@step_up
@require_POST
def run_consent(request: HttpRequest, number: int) -> HttpResponse:
    """Consent to a run that somebody else requested."""
    run = _run(request, number)
    run.consent(by=current_user(request), typed_name=posted(request, "typed_name"))
    return _changed(request, run)


@operator
@require_POST
def run_objection(request: HttpRequest, number: int) -> HttpResponse:
    """Object to a run that somebody else requested."""
    run = _run(request, number)
    run.object(by=current_user(request), reason=posted(request, "reason"))
    return _changed(request, run)


@member
@require_safe
def run_lock_waits(request: HttpRequest, number: int) -> HttpResponse:
    """Show the sessions whose locks a run waits for."""
    run = _run(request, number)
    context = {"run": run, "is_checked": True, "lock_waits": lock_waits.find(run) if run.is_running else None}
    return render(request, "runs/_run_lock_waits.html", context)


@member
@require_safe
def run_diagnostics(request: HttpRequest, number: int) -> HttpResponse:
    """Show diagnostics of the target, for a run with unknown outcome."""
    run = _run(request, number)
    diagnostics = lost_run_diagnostics.diagnose(run) if run.state == RunState.UNKNOWN else None
    context = {"run": run, "diagnostics": diagnostics, "may_decide": may_operate(current_user(request))}
    return render(request, "runs/_run_diagnostics.html", context)


@member
@require_safe
def backup_list(request: HttpRequest, name: str = "") -> HttpResponse:
    """List the backups, all or of one target, newest first."""
    backups = Backup.objects.visible_to(request.user).for_display()
    if name:
        backups = backups.filter(target__name__iexact=name)
    transferable = Target.objects.with_transferable_backups(current_user(request))
    page = Paginator(backups, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "backups": page.object_list,
        "target_name": name,
        "transferable": set(transferable.values_list("pk", flat=True)),
        "may_upload": transferable.current().filter(name__iexact=name).exists(),
    }
    return page_or_fragment(request, "runs/backup_list.html", "runs/_backups.html", context)


def _changed(request: HttpRequest, run: Run) -> HttpResponse:
    if wants_fragment(request):
        return render(request, "runs/_run.html", _context(request, run))
    return see_other(request, reverse("runs:run", args=[run.pk]))


def _context(request: HttpRequest, run: Run) -> dict[str, Any]:
    user = current_user(request)
    operates = may_operate(user)
    ended_badly = run.state in {RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED}
    may_restart = operates and ended_badly and _is_restartable(run)
    to_confirm = catalogue().get(run.kind) if may_restart or run.is_waiting else None
    return {
        "run": run,
        "steps": run.steps.all(),
        "backup": Backup.objects.filter(run=run).first(),
        "may_cancel": operates and run.is_unfinished and run.cancel_requested_at is None,
        "may_decide": operates and run.state == RunState.UNKNOWN,
        "may_answer": run.is_waiting and Run.objects.waiting_for(user).filter(pk=run.pk).exists(),
        "consents": run.consents.all(),
        "chosen_backup": _chosen_backup(run) if run.is_waiting else None,
        "may_restart": may_restart,
        "confirmation": preconditions.confirmation(run.target, to_confirm) if to_confirm else None,
        "decision_form": DecisionForm(),
    }


def _is_restartable(run: Run) -> bool:
    """Return True if the run can be started again from its page.

    A run of a deployment is restarted from the deployment, which checks more. A run that needs a second
    person is restarted from the form with the typed name. A failed import has no file any more.
    """
    operation = catalogue().get(run.kind)
    return (
        operation is not None and operation.has_button and not run.authority and not run.needs_second_person
    )


def _chosen_backup(run: Run) -> Backup | None:
    """Return the backup that a waiting run would restore, for the person who consents."""
    named = Backup.objects.for_display().filter(target=run.target_id, expired_at=None)
    return named.filter(name=run.params.get("backup", "")).first()


def _run(request: HttpRequest, number: int) -> Run:
    runs = Run.objects.visible_to(request.user).select_related("target", "decision")
    return get_object_or_404(runs, pk=number)
