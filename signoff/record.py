"""The canonical record of a deployment: exactly what a signature is given over.

A record is plain JSON in one versioned form. Its digest is the SHA-256 of its canonical bytes
(RFC 8785, JSON Canonicalization Scheme), so the same content has the same digest everywhere.

What a gate covers, and so what can make its signatures stale (docs/decisions/0012):

* the plan as it is: template, target, window, team, rollback plan, and the gate's own rules;
* the items of its stages, with who kept them and what proves it;
* the runs that prove those items, and of these runs alone: the migrations they found, the backups they made,
  and the trust in backups that they reached;
* the standing signatures of earlier gates, which bind the records that those were given over.

So work after the first gate is the second gate's content, and what other runs find out about a backup later,
such as a nightly test restore, changes no record.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from checklists.models import Deployment
from signoff.record_items import items_of
from signoff.record_runs import backups_of, covered_runs, migrations_of, runs_of
from signoff.record_values import moment

SCHEMA = "deployctl.record/1"

Json = dict[str, Any]


def build(deployment: Deployment, gate_key: str) -> Json:
    """The record of a deployment as one gate covers it.

    Args:
        deployment: the deployment; reads everything fresh from the database.
        gate_key: `pre` or `post`.

    Returns:
        Plain JSON: the plan, the gate's rules, the covered items with who kept them and how it was proven,
        the runs with their outcome, migrations and backups, and for a later gate the signatures of the
        earlier ones.
    """
    deployment = Deployment.objects.select_related("target", "template_version__template", "created_by").get(
        pk=deployment.pk
    )
    version = deployment.template_version
    runs = covered_runs(deployment, gate_key)
    return {
        "schema": SCHEMA,
        "gate": gate_key,
        "deployment": {"number": deployment.pk, "title": deployment.title},
        "template": {
            "slug": version.template.slug,
            "version": version.number,
            "sha256": version.source_sha256,
        },
        "target": {
            "name": deployment.target.name,
            "environment": deployment.target.environment,
            "connection_reference": deployment.target.connection_reference,
            "project_folder": deployment.target.project_folder,
            "system_identifier": deployment.target.system_identifier,
            "database_oid": deployment.target.database_oid,
        },
        "window": {"start": moment(deployment.window_start), "end": moment(deployment.window_end)},
        "created_by": {
            "name": deployment.created_by_name,
            "email": deployment.created_by.email if deployment.created_by else None,
        },
        "team": [
            {"name": member.user.name, "email": member.user.email, "role": member.role}
            for member in deployment.team.select_related("user").order_by("role", "user__email")
        ],
        "rollback_plan": deployment.rollback_plan,
        "rules": _rules(deployment, gate_key),
        "items": items_of(deployment, gate_key),
        "runs": runs_of(runs),
        "migrations": migrations_of(runs),
        "backups": backups_of(runs),
        "earlier_signatures": _earlier_signatures(deployment, gate_key),
    }


def digest(record: Json) -> str:
    """The SHA-256 of the record's canonical bytes, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(record)).hexdigest()


def _rules(deployment: Deployment, gate_key: str) -> Json:
    from signoff.models import Gate

    gate = Gate.objects.prefetch_related("slots").get(deployment=deployment, key=gate_key)
    requires = None
    if gate.requires and gate.requires_within is not None:
        requires = {"operation": gate.requires, "within_s": int(gate.requires_within.total_seconds())}
    return {
        "meaning": gate.meaning,
        "creator_may_sign": gate.creator_may_sign,
        "requires": requires,
        "places": [
            {"label": slot.label, "role": slot.role, "quorum": slot.quorum} for slot in gate.slots.all()
        ],
    }


def _earlier_signatures(deployment: Deployment, gate_key: str) -> list[Json]:
    from signoff.models import Gate, Signature

    this = Gate.objects.get(deployment=deployment, key=gate_key)
    standing = (
        Signature.objects.standing()
        .filter(slot__gate__deployment=deployment, slot__gate__position__lt=this.position)
        .select_related("slot__gate", "signer")
        .order_by("pk")
    )
    return [
        {
            "gate": signature.slot.gate.key,
            "role": signature.role,
            "name": signature.printed_name,
            "email": signature.signer.email,
            "for": signature.for_name or None,
            "meaning": signature.meaning,
            "at": moment(signature.signed_at),
            "digest": signature.record_digest,
            "audit_sequence": signature.audit_sequence,
        }
        for signature in standing
    ]
