"""What moves a deployment on: begin, verify, close, cancel, halt, resume, roll back. One verb each."""

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
def launch(request: HttpRequest, number: int) -> HttpResponse:
    """Begin."""
    return _transition(request, number, lambda deployment, by: deployment.begin(by), "has begun")


@require_POST
@enrolled
def verification(request: HttpRequest, number: int) -> HttpResponse:
    """The work is done; verify it."""
    return _transition(
        request, number, lambda deployment, by: deployment.start_verification(by), "is being verified"
    )


@require_POST
@enrolled
def closure(request: HttpRequest, number: int) -> HttpResponse:
    """The first week is over."""
    return _transition(request, number, lambda deployment, by: deployment.close(by), "is closed")


@require_POST
@enrolled
def cancellation(request: HttpRequest, number: int) -> HttpResponse:
    """Give it up before it began."""
    reason = posted(request, "reason")
    return _transition(request, number, lambda deployment, by: deployment.cancel(by, reason), "is cancelled")


@require_http_methods(["POST", "DELETE"])
@enrolled
def halt(request: HttpRequest, number: int) -> HttpResponse:
    """Stop it, or go on."""
    reason = posted(request, "reason")
    if request.method == "DELETE":
        return _transition(request, number, lambda deployment, by: deployment.resume(by, reason), "goes on")
    return _transition(
        request, number, lambda deployment, by: deployment.halt(by, reason), "is halted; nothing new starts"
    )


@require_POST
@enrolled
def rollback(request: HttpRequest, number: int) -> HttpResponse:
    """Go back, by the approved plan."""
    reason = posted(request, "reason")
    return _transition(
        request, number, lambda deployment, by: deployment.start_rollback(by, reason), "is being rolled back"
    )


@require_POST
@operator
def rollback_runs(request: HttpRequest, number: int) -> HttpResponseBase:
    """Have the machine carry out the plan."""
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by).select_related("target"), pk=number)
    rollback_class = operation(ROLLBACK)
    if preconditions.needs_second_person(deployment.target, rollback_class) and (
        ask := require_step_up(request)
    ):
        return ask
    form = RollbackForm.of(deployment, request.POST)
    # Whatever the form cannot clean, the verb refuses with a sentence that names it.
    known = {parameter.name for parameter in parameters_of(rollback_class.Params)}
    given = {name: value for name, value in request.POST.items() if name in known}
    params = form.cleaned_data if form.is_valid() else given
    run = deployment.request_rollback(by, params, typed_name=posted(request, "typed_name"))
    return see_other(request, reverse("runs:run", args=[run.pk]))


@require_POST
@enrolled
def rollback_completion(request: HttpRequest, number: int) -> HttpResponse:
    """The target is as it was before."""
    reason = posted(request, "reason")
    return _transition(
        request, number, lambda deployment, by: deployment.finish_rollback(by, reason), "is rolled back"
    )


def _transition(
    request: HttpRequest, number: int, verb: Callable[[Deployment, User], None], became: str
) -> HttpResponse:
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by), pk=number)
    verb(deployment, by)
    messages.success(request, f"“{deployment}” {became}.")
    return see_other(request, deployment.get_absolute_url())
