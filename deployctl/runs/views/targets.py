"""Views that list and show targets, check connections and start operations."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member, operator, require_step_up
from deployctl.accounts.roles import Permission
from deployctl.errors import DeployctlError
from deployctl.operations import catalogue
from deployctl.operations.framework.base import Operation
from deployctl.runs import connection_check, preconditions
from deployctl.runs.forms.operations import form_for
from deployctl.runs.models import Backup, PhysicalEngine, Run, Target
from deployctl.runs.permissions import may_operate
from deployctl.runs.preconditions import Confirmation
from deployctl.web.http import page_or_fragment, posted, see_other, wants_fragment

RUNS_SHOWN = 10
TYPED_NAME = "typed_name"
BACKUPS_SHOWN = 5


class Offer(NamedTuple):
    """An operation that a page offers, with its form or the reason why it is unavailable."""

    operation: type[Operation]
    form: Form
    unavailable_reason: str
    confirmation: Confirmation | None

    @property
    def has_required_input(self) -> bool:
        """True if the form has a required field without a value; then it must not be collapsed."""
        return any(field.required and field.initial in (None, "") for field in self.form.fields.values())


def offer(target: Target, operation: type[Operation], form: Form) -> Offer:
    """Return an operation on a target with its form, for pages outside of deployments.

    Args:
        form: the form of the operation.
    """
    reason = preconditions.unavailable_reason(target, operation, authority="")
    return Offer(operation, form, reason, preconditions.confirmation(target, operation))


@member
@require_safe
def target_list(request: HttpRequest) -> HttpResponse:
    """List the targets with their newest run and backup."""
    targets = Target.objects.visible_to(request.user).current().with_newest()
    context = {"targets": targets, "may_add": current_user(request).may(Permission.ADMINISTRATOR)}
    return page_or_fragment(request, "runs/target_list.html", "runs/_targets.html", context)


@member
@require_safe
def target_detail(request: HttpRequest, name: str) -> HttpResponse:
    """Show a target: settings, people, operations, runs and backups."""
    target = get_target(request, name)
    user = current_user(request)
    may_start = may_operate(user) and target.archived_at is None
    engine = PhysicalEngine.objects.filter(target=target).first()
    context = {
        **_recent(target),
        "people": target.role_assignments,
        "offers": _offers(target, engine) if may_start else [],
        "engine": engine,
        "may_start": may_start,
        "may_administer": user.may(Permission.ADMINISTRATOR),
    }
    return render(request, "runs/target_detail.html", context)


@member
@require_safe
def target_recent(request: HttpRequest, name: str) -> HttpResponse:
    """Show the part of a target's page that is updated live."""
    return render(request, "runs/_target_recent.html", _recent(get_target(request, name)))


@operator
@require_POST
def target_connection(request: HttpRequest, name: str) -> HttpResponse:
    """Check the connection to the target."""
    target = get_target(request, name)
    context: dict[str, Any] = {"target": target}
    try:
        context["facts"] = connection_check.check(target)
    except DeployctlError as error:
        context["problem"] = error.message
    if wants_fragment(request):
        return render(request, "runs/_target_connection.html", context)
    if "problem" in context:
        messages.error(request, context["problem"])
    else:
        messages.success(request, f"Connected to PostgreSQL {context['facts'].version}.")
    return see_other(request, reverse("runs:target", args=[target.name]))


@operator
@require_POST
def target_runs(request: HttpRequest, name: str) -> HttpResponseBase:
    """Start an operation."""
    target = get_target(request, name)
    operation = catalogue().get(request.POST.get("kind", ""))
    if (
        operation
        and preconditions.needs_second_person(target, operation)
        and (step_up := require_step_up(request))
    ):
        return step_up
    form = form_for(operation)(request.POST) if operation else Form(request.POST)
    # `Run.request` rejects what the form cannot clean, with a message that names it.
    params = form.cleaned_data if form.is_valid() else _posted_params(request)
    run = Run.request(
        target=target,
        kind=posted(request, "kind"),
        params=params,
        by=current_user(request),
        typed_name=posted(request, TYPED_NAME),
    )
    return see_other(request, reverse("runs:run", args=[run.pk]))


def _posted_params(request: HttpRequest) -> dict[str, object]:
    ours = {"kind", "csrfmiddlewaretoken", TYPED_NAME}
    return {name: value for name, value in request.POST.items() if name not in ours}


def _recent(target: Target) -> dict[str, Any]:
    return {
        "target": target,
        "runs": target.runs.all()[:RUNS_SHOWN],
        "backups": Backup.objects.for_display().filter(target=target)[:BACKUPS_SHOWN],
    }


def _offers(target: Target, engine: PhysicalEngine | None) -> list[Offer]:
    return [
        offer(target, operation, form_for(operation)(auto_id=f"id_{operation.kind}_%s"))
        for operation in catalogue().values()
        if operation.has_button and (engine is not None or not operation.physical)
    ]


def get_target(request: HttpRequest, name: str) -> Target:
    """Return the target with a name if the user may see it, else raise 404."""
    return get_object_or_404(Target.objects.visible_to(request.user), name__iexact=name)
