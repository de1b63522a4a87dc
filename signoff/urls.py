"""Addresses of signing."""

from __future__ import annotations

from django.urls import path

from signoff.views import delegations, gates

app_name = "signoff"

urlpatterns = [
    path("deployments/<int:deployment_id>/gates/<slug:key>/", gates.gate, name="gate"),
    path("deployments/<int:deployment_id>/signatures", gates.signatures, name="signatures"),
    path("deployments/<int:deployment_id>/delegations", delegations.delegations, name="delegations"),
    path("deployments/<int:deployment_id>/records/", gates.comparison, name="records"),
    path("delegations/<int:pk>/withdrawal", delegations.delegation_withdrawal, name="delegation_withdrawal"),
    path("signatures/<int:pk>/withdrawal", delegations.signature_withdrawal, name="signature_withdrawal"),
    path("gates/<int:pk>/", gates.fragment, name="fragment"),
]
