"""The signed-in person and the sign-in of a request."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from deployctl.accounts.models import SignIn, User


def current_user(request: HttpRequest) -> User:
    """Return the signed-in person.

    Args:
        request: a request to a view with any policy except `public`.
    """
    return cast("User", request.user)


def current_sign_in(request: HttpRequest) -> SignIn:
    """Return the sign-in of the session, as set by `SessionLimitMiddleware`.

    Args:
        request: a request to a view with any policy except `public`.
    """
    return cast("SignIn", request.sign_in)  # type: ignore[attr-defined]
