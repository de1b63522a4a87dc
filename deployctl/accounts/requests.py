"""The person behind a request."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from deployctl.accounts.models import User


def person(request: HttpRequest) -> User:
    """Who is signed in, for views whose policy lets nobody else in.

    Args:
        request: of a view with any policy but `public`.
    """
    return cast("User", request.user)
