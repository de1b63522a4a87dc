"""Responses that show an error as a page or a fragment."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from deployctl.errors import DeployctlError, InvalidInput, NotAllowed, Refusal
from deployctl.web.http import wants_fragment

# Not a 5xx: the server is not broken, and htmx does not show the body of a 5xx response.
DEFAULT_STATUS = 409
STATUS: dict[type[DeployctlError], int] = {Refusal: 409, InvalidInput: 422, NotAllowed: 403}
TITLES = {
    403: "Not allowed",
    405: "No page at this URL",
    409: "Request refused",
    422: "Invalid input",
}


def status_of(error: DeployctlError) -> int:
    """Return the HTTP status for a kind of error."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), DEFAULT_STATUS)


def problem_response(request: HttpRequest, message: str, *, status: int) -> HttpResponse:
    """Return a page with a message, or a fragment that htmx puts into the `#problems` element of the page.

    Args:
        message: what happened, the state now, and the next step.
        status: the HTTP status.
    """
    template = "web/_problem.html" if wants_fragment(request) else "web/problem.html"
    context = {"title": TITLES.get(status, "Something went wrong"), "message": message}
    return render(request, template, context, status=status)


def error_response(request: HttpRequest, error: DeployctlError) -> HttpResponse:
    """Return the response for an error, with its message for the user."""
    return problem_response(request, error.message, status=status_of(error))
