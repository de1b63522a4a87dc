"""The URL configuration."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("deployctl.accounts.urls")),
    path("", include("deployctl.runs.urls")),
    path("", include("checklists.urls")),
    path("", include("signoff.urls")),
]
