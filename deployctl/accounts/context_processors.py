"""Template variables for all pages, such as which main pages the person can open."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from deployctl.accounts.roles import Permission


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Return the navigation variables.

    Returns:
        nav: the main pages that the person can open; None when signed out.
        section: the first part of the path; `home` for the start page.
        demo: True if this is the demo.
        single_sign_on: the provider's name; "" without one.
        version: the version of deployctl.
    """
    path = request.path.strip("/")
    return {
        "nav": _main_pages(request),
        "section": path.partition("/")[0] or "home",
        "demo": settings.DEPLOYCTL_DEMO,
        "single_sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "version": version("deployctl"),
    }


def _main_pages(request: HttpRequest) -> dict[str, bool] | None:
    # Error pages are also rendered for requests that failed before the authentication middleware.
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    may_approve = user.may(Permission.APPROVER)
    administers = user.may(Permission.ADMINISTRATOR)
    return {
        "home": True,
        "deployments": True,
        "targets": True,
        "backups": True,
        "history": True,
        "templates": True,
        "audit": may_approve,
        "people": administers,
    }
