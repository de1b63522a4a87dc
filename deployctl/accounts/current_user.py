"""The person behind a request, and the stay that it belongs to."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from deployctl.accounts.models import SignIn, User


def current_user(request: HttpRequest) -> User:
    """Who is signed in, for views whose policy lets nobody else in.

    Args:
        request: of a view with any policy but `public`.
    """
    return cast("User", request.user)


def current_sign_in(request: HttpRequest) -> SignIn:
    """The stay of who is signed in; `SessionLimitMiddleware` has put it there.

    Args:
        request: of a view with any policy but `public`.
    """
    return cast("SignIn", request.sign_in)  # type: ignore[attr-defined]
