"""Addresses of signing."""

from __future__ import annotations

from django.urls import path

from signoff.views import gates

app_name = "signoff"

urlpatterns = [
    path("deployments/<int:deployment_id>/gates/<slug:key>/", gates.gate, name="gate"),
    path("deployments/<int:deployment_id>/signatures", gates.signatures, name="signatures"),
    path("gates/<int:pk>/", gates.fragment, name="fragment"),
]
