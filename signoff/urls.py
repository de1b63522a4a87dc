"""The URLs of signatures, evidence, the audit log and the API."""

from __future__ import annotations

from django.urls import include, path

from signoff.views import api, audit, delegations, evidence, gates

signing = [
    path("deployments/<int:deployment_id>/gates/<slug:key>/", gates.gate, name="gate"),
    path("deployments/<int:deployment_id>/signatures", gates.signatures, name="signatures"),
    path("deployments/<int:deployment_id>/delegations", delegations.delegations, name="delegations"),
    path("deployments/<int:deployment_id>/records/", gates.comparison, name="records"),
    path("delegations/<int:pk>/revocation", delegations.delegation_revocation, name="delegation_revocation"),
    path("signatures/<int:pk>/revocation", delegations.signature_revocation, name="signature_revocation"),
    path("gates/<int:pk>/", gates.fragment, name="fragment"),
    path("deployments/<int:deployment_id>/evidence/", evidence.evidence, name="evidence"),
    path("deployments/<int:deployment_id>/evidence/packs", evidence.packs, name="packs"),
    path("evidence/<int:number>/verification", evidence.pack_verification, name="pack_verification"),
    path("evidence/<int:number>.<slug:kind>", evidence.pack_file, name="pack_file"),
    path("targets/<slug:name>/evidence/", evidence.target_period, name="target_period"),
]

audit_log = [
    path("audit/", audit.entries, name="entries"),
    path("audit/export", audit.export, name="export"),
    path("audit/verification/", audit.verification, name="verification"),
]

programs = [
    path("api/deployments/<int:number>/gate", api.gate, name="gate"),
]

urlpatterns = [
    path("", include((signing, "signoff"))),
    path("", include((audit_log, "audit"))),
    path("", include((programs, "api"))),
]
