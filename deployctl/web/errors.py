"""Errors as pages and fragments."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployctl.errors import DeployctlError, InvalidInput, NotAllowed, Refusal
from deployctl.web.http import wants_fragment

# Everything else that is told in a sentence is a conflict with the state of things as well. Not a 5xx:
# nothing is broken here, and htmx does not show the body of those.
OTHERWISE = 409
STATUS: dict[type[DeployctlError], int] = {Refusal: 409, InvalidInput: 422, NotAllowed: 403}
TITLES = {
    403: "You may not do this",
    405: "There is no page here",
    409: "This was refused",
    422: "This cannot be used",
}


def status_of(error: DeployctlError) -> int:
    """The HTTP status that tells what kind of error it is."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), OTHERWISE)


def problem(request: HttpRequest, message: str, *, status: int) -> HttpResponse:
    """A sentence as a page, or as a fragment that htmx puts into the page's own place for problems.

    Args:
        message: what happened, what state things are in, what to do next.
        status: the HTTP status.
    """
    template = "web/_problem.html" if wants_fragment(request) else "web/problem.html"
    context = {"title": TITLES.get(status, "Something went wrong"), "message": message}
    return render(request, template, context, status=status)


def answer(request: HttpRequest, error: DeployctlError) -> HttpResponse:
    """An error that has a sentence, answered with it."""
    return problem(request, error.message, status=status_of(error))
