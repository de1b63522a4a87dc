"""The canonical record of a deployment: exactly what a signature is given over.

A record is plain JSON in one versioned form. Its digest is the SHA-256 of its canonical bytes
(RFC 8785, JSON Canonicalization Scheme), so the same content has the same digest everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import rfc8785

from checklists.models import Completion, Deployment, Item, Proof, Waiver
from checklists.models.turns import COVERED_BY

SCHEMA = "deployctl.record/1"

Json = dict[str, Any]


def build(deployment: Deployment, gate_key: str) -> Json:
    """The record of a deployment as one gate covers it.

    Args:
        deployment: the deployment; reads everything fresh from the database.
        gate_key: `pre` or `post`.

    Returns:
        Plain JSON: the plan, the covered items with who kept them and how it was proven, and for a
        later gate the signatures of the earlier ones.
    """
    deployment = Deployment.objects.select_related("target", "template_version__template").get(
        pk=deployment.pk
    )
    version = deployment.template_version
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
            "system_identifier": deployment.target.system_identifier,
            "database_oid": deployment.target.database_oid,
        },
        "window": {"start": _time(deployment.window_start), "end": _time(deployment.window_end)},
        "team": [
            {"name": member.user.name, "email": member.user.email, "role": member.role}
            for member in deployment.team.select_related("user").order_by("role", "user__email")
        ],
        "rollback_plan": deployment.rollback_plan,
        "items": [_item(item) for item in _covered_items(deployment, gate_key)],
        "earlier_signatures": _earlier_signatures(deployment, gate_key),
    }


def digest(record: Json) -> str:
    """The SHA-256 of the record's canonical bytes, in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(record)).hexdigest()


def _covered_items(deployment: Deployment, gate_key: str) -> Iterable[Item]:
    return (
        Item.objects.filter(
            section__checklist__deployment=deployment, section__stage__in=COVERED_BY[gate_key]
        )
        .select_related("section")
        .prefetch_related("completions", "waivers", "proofs__run")
        .order_by("section__position", "position")
    )


def _item(item: Item) -> Json:
    return {
        "key": item.key,
        "phase": item.section.phase,
        "section": item.section.title,
        "text": item.text,
        "state": item.state,
        "completion": next((_completion(row) for row in item.completions.all() if not row.undone_at), None),
        "waiver": next((_waiver(row) for row in item.waivers.all() if not row.withdrawn_at), None),
        "proofs": [_proof(proof) for proof in item.proofs.all()],
    }


def _completion(row: Completion) -> Json:
    return {"by": row.by_name, "at": _time(row.at), "note": row.note}


def _waiver(row: Waiver) -> Json:
    return {"by": row.by_name, "at": _time(row.at), "reason": row.reason}


def _proof(proof: Proof) -> Json:
    plain: Json = {
        "kind": proof.kind,
        "outcome": proof.outcome,
        "by": proof.by_name,
        "at": _time(proof.at),
    }
    if proof.text:
        plain["text"] = proof.text
    if proof.url:
        plain["url"] = proof.url
    if proof.file_sha256:
        plain["file"] = {"name": proof.file_name, "size": proof.file_size, "sha256": proof.file_sha256}
    if proof.run is not None:
        plain["run"] = {
            "number": proof.run.pk,
            "operation": proof.run.kind,
            "state": proof.run.state,
            "summary": proof.run.summary,
        }
    return plain


def _earlier_signatures(deployment: Deployment, gate_key: str) -> list[Json]:
    from signoff.models import Gate, Signature

    this = Gate.objects.get(deployment=deployment, key=gate_key)
    standing = (
        Signature.objects.standing()
        .filter(slot__gate__deployment=deployment, slot__gate__position__lt=this.position)
        .select_related("slot__gate")
        .order_by("pk")
    )
    return [
        {
            "gate": signature.slot.gate.key,
            "role": signature.role,
            "name": signature.printed_name,
            "at": _time(signature.signed_at),
            "digest": signature.record_digest,
            "audit_sequence": signature.audit_sequence,
        }
        for signature in standing
    ]


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
