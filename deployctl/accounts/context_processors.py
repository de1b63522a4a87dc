"""What every template may know of the person who looks: plain booleans, decided here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from deployctl.accounts.roles import Permission


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Return the variables `nav` (which main pages to offer; None when signed out), `section`, `demo`,
    `single_sign_on` (the name of the provider; "" without one) and `version` (of deployctl).
    """
    path = request.path.strip("/")
    return {
        "nav": _offers(request),
        "section": path.partition("/")[0] or "home",
        "demo": settings.DEPLOYCTL_DEMO,
        "single_sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "version": version("deployctl"),
    }


def _offers(request: HttpRequest) -> dict[str, bool] | None:
    # Error pages are drawn for requests that never reached the authentication.
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
