"""Who looks, and how forms speak: small things that every view of this app shares."""

from __future__ import annotations

from django.http import HttpRequest

from deployctl.accounts.models import User


def viewer(request: HttpRequest) -> User:
    """The signed-in person; the view's policy has seen to it that there is one."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker
    return request.user


def posted(request: HttpRequest, name: str) -> str:
    """A text of a form, empty where the form does not have it."""
    return str(request.POST.get(name, ""))
