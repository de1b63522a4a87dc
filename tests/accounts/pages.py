"""A URLconf with one page per policy, in addition to the real pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from deployctl.accounts import policies


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{request.method} seen")


async def async_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("async seen")


POLICIES = [
    *("public", "identified", "must_change_password", "must_enroll", "member", "enrolled"),
    *("operator", "approver", "administrator"),
]

urlpatterns = [
    path("async/", policies.operator(async_page)),
    path("fresh/", policies.operator(policies.step_up(page))),
    *[path(f"{name}/", getattr(policies, name)(page)) for name in POLICIES],
    path("", include("deployctl.urls")),
]
