"""What an evidence pack says of a deployment, gathered from the database as plain JSON."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.utils import timezone

from checklists.models import Deployment, DeploymentState
from deployctl.accounts.roles import Role
from deployctl.audit.canonical import jsonable
from signoff import differences
from signoff import record as records
from signoff.evidence import contents_rows
from signoff.evidence.contents_rows import time_of
from signoff.models import Gate, Signature

Json = dict[str, Any]

# Nothing that was signed changes any more; what comes after is the first week's.
ENDED = (
    DeploymentState.SIGNED_OFF,
    DeploymentState.CLOSED,
    DeploymentState.ROLLED_BACK,
    DeploymentState.CANCELLED,
)


def gather(deployment: Deployment, by_name: str) -> Json:
    """Everything but the audit chain. Call it while the deployment cannot change (`Deployment.changing`).

    Args:
        by_name: who exports it.
    """
    signatures = list(
        Signature.objects.filter(slot__gate__deployment=deployment).select_related(
            "slot__gate", "staleness", "withdrawal"
        )
    )
    gates = list(deployment.gates.order_by("position").prefetch_related("slots"))
    now = {gate.key: gate.record() for gate in gates}
    runs = contents_rows.runs_of(deployment)
    contents = {
        "about": _about(deployment, by_name),
        "deployment": _deployment(deployment),
        "target": _target(deployment),
        "template": _template(deployment),
        "team": _team(deployment),
        "moves": _moves(deployment),
        "checklist": contents_rows.checklist(deployment),
        "gates": [_gate(gate, records.digest(now[gate.key])) for gate in gates],
        "signatures": [_signature(signature) for signature in signatures],
        "differences": _differences(signatures, now),
        "runs": [contents_rows.run(one) for one in runs],
        "backups": contents_rows.backups(runs),
    }
    said: Json = jsonable(contents)
    # As they are, for their digests were signed: `plain` would change nothing in them, and is not asked to.
    said["records"] = {
        records.digest(record): record for record in (*now.values(), *(one.record for one in signatures))
    }
    return said


def _about(deployment: Deployment, by_name: str) -> Json:
    return {
        "deployment": deployment.pk,
        "title": deployment.title,
        "target": deployment.target.name,
        "state": deployment.state,
        "final": deployment.state in ENDED,
        "exported_at": time_of(timezone.now()),
        "exported_by": by_name,
        "software": f"deployctl {version('deployctl')}",
    }


def _deployment(deployment: Deployment) -> Json:
    return {
        "number": deployment.pk,
        "title": deployment.title,
        "state": deployment.state,
        "state_label": deployment.get_state_display(),
        "created_at": time_of(deployment.created_at),
        "created_by": deployment.created_by_name,
        "window": {"start": time_of(deployment.window_start), "end": time_of(deployment.window_end)},
        "rollback_plan": deployment.rollback_plan,
        "notes": deployment.notes,
    }


def _target(deployment: Deployment) -> Json:
    target = deployment.target
    return {
        "name": target.name,
        "environment": target.environment,
        "description": target.description,
        "system_identifier": target.system_identifier,
        "database_oid": target.database_oid,
    }


def _template(deployment: Deployment) -> Json:
    version = deployment.template_version
    return {
        "slug": version.template.slug,
        "name": version.template.name,
        "version": version.number,
        "sha256": version.source_sha256,
        "source": version.source,
    }


def _team(deployment: Deployment) -> list[Json]:
    seats = deployment.team.select_related("user").order_by("role", "user__email")
    return [
        {
            "name": seat.user.name,
            "email": seat.user.email,
            "phone": seat.user.phone,
            "role": seat.role,
            "role_label": seat.get_role_display(),
        }
        for seat in seats
    ]


def _moves(deployment: Deployment) -> list[Json]:
    return [
        {
            "at": time_of(move.at),
            "from": move.from_state,
            "to": move.to_state,
            "to_label": move.get_to_state_display(),
            "by": move.by_name,
            "reason": move.reason,
        }
        for move in deployment.state_changes.order_by("pk")
    ]


def _gate(gate: Gate, digest_now: str) -> Json:
    return {
        "key": gate.key,
        "title": gate.title,
        "meaning": gate.meaning,
        "state": gate.state,
        "record_digest": digest_now,
        "creator_may_sign": gate.creator_may_sign,
        "slots": [
            {"position": slot.position, "role": slot.role, "label": slot.label, "quorum": slot.quorum}
            for slot in gate.slots.all()
        ],
    }


def _signature(signature: Signature) -> Json:
    stale = signature.staleness if signature.is_stale else None
    taken_back = signature.withdrawal if signature.is_withdrawn else None
    return {
        "number": signature.pk,
        "gate": signature.slot.gate.key,
        "slot": signature.slot.position,
        "label": signature.slot.label,
        "printed_name": signature.printed_name,
        "for": signature.for_name,
        "role": signature.role,
        "role_label": dict(Role.choices).get(signature.role, signature.role),
        "meaning": signature.meaning,
        "signed_at": time_of(signature.signed_at),
        "timezone": signature.timezone,
        "method": signature.method,
        "factor_since": time_of(signature.factor_since),
        "record_digest": signature.record_digest,
        "audit_sequence": signature.audit_sequence,
        "stale": {"at": time_of(stale.at), "by": stale.by_name, "change": stale.change} if stale else None,
        "withdrawn": {"at": time_of(taken_back.at), "by": taken_back.by_name, "reason": taken_back.reason}
        if taken_back
        else None,
    }


def _differences(signatures: list[Signature], now: dict[str, Json]) -> list[Json]:
    """For each signature that no longer stands, what changed between its record and the record now."""
    return [
        {
            "signature": one.pk,
            "gate": one.slot.gate.key,
            "printed_name": one.printed_name,
            "changes": [
                change._asdict() for change in differences.between(one.record, now[one.slot.gate.key])
            ],
        }
        for one in signatures
        if one.is_stale
    ]
