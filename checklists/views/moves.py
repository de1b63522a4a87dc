"""What moves a deployment on: begin, verify, close, cancel, halt, resume, roll back. One verb each."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods, require_POST

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.policies import enrolled
from deployctl.accounts.requests import person
from deployctl.web.http import posted, see_other


@require_POST
@enrolled
def launch(request: HttpRequest, number: int) -> HttpResponse:
    """Begin."""
    return _move(request, number, lambda deployment, by: deployment.begin(by), "has begun")


@require_POST
@enrolled
def verification(request: HttpRequest, number: int) -> HttpResponse:
    """The work is done; verify it."""
    return _move(
        request, number, lambda deployment, by: deployment.start_verification(by), "is being verified"
    )


@require_POST
@enrolled
def closure(request: HttpRequest, number: int) -> HttpResponse:
    """The first week is over."""
    return _move(request, number, lambda deployment, by: deployment.close(by), "is closed")


@require_POST
@enrolled
def cancellation(request: HttpRequest, number: int) -> HttpResponse:
    """Give it up before it began."""
    reason = posted(request, "reason")
    return _move(request, number, lambda deployment, by: deployment.cancel(by, reason), "is cancelled")


@require_http_methods(["POST", "DELETE"])
@enrolled
def halt(request: HttpRequest, number: int) -> HttpResponse:
    """Stop it, or go on."""
    reason = posted(request, "reason")
    if request.method == "DELETE":
        return _move(request, number, lambda deployment, by: deployment.resume(by, reason), "goes on")
    return _move(
        request, number, lambda deployment, by: deployment.halt(by, reason), "is halted; nothing new starts"
    )


@require_POST
@enrolled
def rollback(request: HttpRequest, number: int) -> HttpResponse:
    """Go back, by the approved plan."""
    reason = posted(request, "reason")
    return _move(
        request, number, lambda deployment, by: deployment.start_rollback(by, reason), "is being rolled back"
    )


@require_POST
@enrolled
def rollback_completion(request: HttpRequest, number: int) -> HttpResponse:
    """The target is as it was before."""
    reason = posted(request, "reason")
    return _move(
        request, number, lambda deployment, by: deployment.finish_rollback(by, reason), "is rolled back"
    )


def _move(
    request: HttpRequest, number: int, verb: Callable[[Deployment, User], None], became: str
) -> HttpResponse:
    by = person(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by), pk=number)
    verb(deployment, by)
    messages.success(request, f"“{deployment}” {became}.")
    return see_other(request, deployment.get_absolute_url())
