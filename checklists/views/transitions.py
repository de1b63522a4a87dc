"""Change a deployment's state: start, verify, close, cancel, halt, resume, roll back."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from checklists.forms.rollback import RollbackForm
from checklists.models import Deployment
from checklists.models.stage_rules import ROLLBACK
from deployctl.accounts.current_user import current_user
from deployctl.accounts.models import User
from deployctl.accounts.policies import enrolled, operator, require_step_up
from deployctl.operations.framework.parameters import parameters_of
from deployctl.operations.framework.registry import operation
from deployctl.runs import preconditions
from deployctl.web.http import posted, see_other


@require_POST
@enrolled
def start(request: HttpRequest, number: int) -> HttpResponse:
    """Start an approved deployment."""
    return _transition(request, number, lambda deployment, by: deployment.begin(by), "was started")


@require_POST
@enrolled
def verification(request: HttpRequest, number: int) -> HttpResponse:
    """Start the verification."""
    return _transition(
        request, number, lambda deployment, by: deployment.start_verification(by), "is now being verified"
    )


@require_POST
@enrolled
def closure(request: HttpRequest, number: int) -> HttpResponse:
    """Close a deployment that is signed off."""
    return _transition(request, number, lambda deployment, by: deployment.close(by), "was closed")


@require_POST
@enrolled
def cancellation(request: HttpRequest, number: int) -> HttpResponse:
    """Cancel a deployment that has not started."""
    reason = posted(request, "reason")
    return _transition(request, number, lambda deployment, by: deployment.cancel(by, reason), "was cancelled")


@require_http_methods(["POST", "DELETE"])
@enrolled
def halt(request: HttpRequest, number: int) -> HttpResponse:
    """Halt a deployment, or resume it."""
    reason = posted(request, "reason")
    if request.method == "DELETE":
        return _transition(
            request, number, lambda deployment, by: deployment.resume(by, reason), "was resumed"
        )
    return _transition(
        request,
        number,
        lambda deployment, by: deployment.halt(by, reason),
        "was halted; no new operation can start",
    )


@require_POST
@enrolled
def rollback(request: HttpRequest, number: int) -> HttpResponse:
    """Start the rollback of a halted deployment."""
    reason = posted(request, "reason")
    return _transition(
        request,
        number,
        lambda deployment, by: deployment.start_rollback(by, reason),
        "is now being rolled back",
    )


@require_POST
@operator
def rollback_runs(request: HttpRequest, number: int) -> HttpResponseBase:
    """Request the run that carries out the rollback plan."""
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by).select_related("target"), pk=number)
    rollback_class = operation(ROLLBACK)
    if preconditions.needs_second_person(deployment.target, rollback_class) and (
        ask := require_step_up(request)
    ):
        return ask
    form = RollbackForm.of(deployment, request.POST)
    # If the form is invalid, request_rollback rejects the raw values and names the parameter.
    known = {parameter.name for parameter in parameters_of(rollback_class.Params)}
    given = {name: value for name, value in request.POST.items() if name in known}
    params = form.cleaned_data if form.is_valid() else given
    run = deployment.request_rollback(by, params, typed_name=posted(request, "typed_name"))
    return see_other(request, reverse("runs:run", args=[run.pk]))


@require_POST
@enrolled
def rollback_completion(request: HttpRequest, number: int) -> HttpResponse:
    """Confirm that the target was returned to its state before the deployment."""
    reason = posted(request, "reason")
    return _transition(
        request, number, lambda deployment, by: deployment.finish_rollback(by, reason), "was rolled back"
    )


def _transition(
    request: HttpRequest, number: int, transition: Callable[[Deployment, User], None], outcome: str
) -> HttpResponse:
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by), pk=number)
    transition(deployment, by)
    messages.success(request, f"“{deployment}” {outcome}.")
    return see_other(request, deployment.get_absolute_url())
