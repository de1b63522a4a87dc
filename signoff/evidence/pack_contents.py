"""The contents of a deployment's evidence pack, read from the database as plain JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from django.db.models import Q
from django.utils import timezone

from checklists.models import Completion, Deployment, DeploymentState, Item, Proof, Waiver
from deployctl.accounts.roles import Role
from deployctl.audit.canonical import jsonable
from deployctl.runs.models import Backup, Run
from signoff import diff
from signoff import record as records
from signoff.models.gate import Gate
from signoff.models.signature import Signature

Json = dict[str, Any]

# Signed content no longer changes in these states; only items of the first week follow.
ENDED = (
    DeploymentState.SIGNED_OFF,
    DeploymentState.CLOSED,
    DeploymentState.ROLLED_BACK,
    DeploymentState.CANCELLED,
)


def build(deployment: Deployment, by_name: str) -> Json:
    """Return the contents except the audit chain. The caller holds the deployment's lock.

    Args:
        by_name: the name of the person who exports it.
    """
    signatures = list(
        Signature.objects.filter(slot__gate__deployment=deployment).select_related(
            "slot__gate", "staleness", "revocation"
        )
    )
    gates = list(deployment.gates.order_by("position").prefetch_related("slots"))
    current = {gate.key: gate.record() for gate in gates}
    runs = _runs_of(deployment)
    contents = {
        "about": _about(deployment, by_name),
        "deployment": _deployment(deployment),
        "target": _target(deployment),
        "template": _template(deployment),
        "team": _team(deployment),
        "transitions": _transitions(deployment),
        "checklist": _checklist(deployment),
        "gates": [_gate(gate, records.digest(current[gate.key])) for gate in gates],
        "signatures": [_signature(signature) for signature in signatures],
        "differences": _differences(signatures, current),
        "runs": [_run(one) for one in runs],
        "backups": _backups(runs),
    }
    contents_json: Json = jsonable(contents)
    # Added unchanged, because their digests were signed.
    contents_json["records"] = {
        records.digest(record): record for record in (*current.values(), *(one.record for one in signatures))
    }
    return contents_json


def _about(deployment: Deployment, by_name: str) -> Json:
    return {
        "deployment": deployment.pk,
        "title": deployment.title,
        "target": deployment.target.name,
        "state": deployment.state,
        "final": deployment.state in ENDED,
        "exported_at": _time(timezone.now()),
        "exported_by": by_name,
        "software": f"deployctl {version('deployctl')}",
    }


def _deployment(deployment: Deployment) -> Json:
    return {
        "number": deployment.pk,
        "title": deployment.title,
        "state": deployment.state,
        "state_label": deployment.get_state_display(),
        "created_at": _time(deployment.created_at),
        "created_by": deployment.created_by_name,
        "window": {"start": _time(deployment.window_start), "end": _time(deployment.window_end)},
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
    members = deployment.team.select_related("user").order_by("role", "user__email")
    return [
        {
            "name": member.user.name,
            "email": member.user.email,
            "phone": member.user.phone,
            "role": member.role,
            "role_label": member.get_role_display(),
        }
        for member in members
    ]


def _transitions(deployment: Deployment) -> list[Json]:
    return [
        {
            "at": _time(change.at),
            "from": change.from_state,
            "to": change.to_state,
            "to_label": change.get_to_state_display(),
            "by": change.by_name,
            "reason": change.reason,
        }
        for change in deployment.state_changes.order_by("pk")
    ]


def _gate(gate: Gate, record_digest: str) -> Json:
    return {
        "key": gate.key,
        "title": gate.title,
        "meaning": gate.meaning,
        "state": gate.state,
        "record_digest": record_digest,
        "creator_may_sign": gate.creator_may_sign,
        "slots": [
            {"position": slot.position, "role": slot.role, "label": slot.label, "quorum": slot.quorum}
            for slot in gate.slots.all()
        ],
    }


def _checklist(deployment: Deployment) -> list[Json]:
    """Return every item with all its completions, waivers and proofs, undone ones included."""
    items = (
        Item.objects.filter(section__checklist__deployment=deployment)
        .select_related("section", "parent")
        .prefetch_related("completions", "waivers", "proofs")
        .order_by("section__position", "position")
    )
    return [_item(item) for item in items]


def _item(item: Item) -> Json:
    return {
        "key": item.key,
        "parent": item.parent.key if item.parent else "",
        "phase": item.section.phase,
        "section": item.section.title,
        "stage": item.section.stage,
        "text": item.text,
        "plain_text": str(item),
        "kind": item.kind,
        "operation": item.operation,
        "check": item.check_name,
        "params": item.params,
        "role": item.role,
        "due_at": _time(item.due_at),
        "evidence_required": item.evidence_required,
        "state": item.state,
        "state_label": item.get_state_display(),
        "completions": [_completion(row) for row in item.completions.all()],
        "waivers": [_waiver(row) for row in item.waivers.all()],
        "proofs": [_proof(proof) for proof in item.proofs.all()],
    }


def _completion(row: Completion) -> Json:
    return {
        "by": row.by_name,
        "at": _time(row.at),
        "note": row.note,
        "undone_at": _time(row.undone_at),
        "undone_by": row.undone_by_name,
    }


def _waiver(row: Waiver) -> Json:
    return {
        "by": row.by_name,
        "at": _time(row.at),
        "reason": row.reason,
        "revoked_at": _time(row.withdrawn_at),
        "revoked_by": row.withdrawn_by_name,
    }


def _proof(proof: Proof) -> Json:
    return {
        "kind": proof.kind,
        "outcome": proof.outcome,
        "by": proof.by_name,
        "at": _time(proof.at),
        "valid_until": _time(proof.valid_until),
        "text": proof.text,
        "url": proof.url,
        "file": {"name": proof.file_name, "size": proof.file_size, "sha256": proof.file_sha256}
        if proof.file_sha256
        else None,
        "run": proof.run_id,
    }


def _runs_of(deployment: Deployment) -> list[Run]:
    """Return the runs that the deployment authorized or that prove one of its items."""
    proving = Proof.objects.of_deployment(deployment.pk).exclude(run=None).values("run")
    found = Run.objects.filter(Q(authority=deployment.authority) | Q(pk__in=proving))
    return list(found.select_related("decision").prefetch_related("steps").order_by("pk"))


def _run(run: Run) -> Json:
    decision = getattr(run, "decision", None)
    return {
        "number": run.pk,
        "operation": run.kind,
        "title": run.title,
        "params": run.params,
        "changes_target": run.changes_target,
        "state": run.state,
        "state_label": run.get_state_display(),
        "requested_by": run.requested_by_name,
        "requested_at": _time(run.requested_at),
        "started_at": _time(run.started_at),
        "finished_at": _time(run.finished_at),
        "summary": run.summary,
        "facts": run.facts,
        "decision": decision
        and {
            "by": decision.by_name,
            "at": _time(decision.at),
            "outcome": decision.outcome,
            "note": decision.note,
        },
        "steps": [
            {"name": step.name, "state": step.state, "detail": step.detail} for step in run.steps.all()
        ],
    }


def _backups(runs: list[Run]) -> list[Json]:
    """Return the backups that these runs made or verified."""
    numbers = [run.pk for run in runs]
    found = Backup.objects.filter(Q(run__in=numbers) | Q(trust_levels__run__in=numbers)).distinct()
    found = found.prefetch_related("trust_levels", "copies").order_by("created_at")
    return [
        {
            "name": backup.name,
            "run": backup.run_id,
            "format": backup.format,
            "size_bytes": backup.size_bytes,
            "rows": backup.rows,
            "snapshot_at": _time(backup.snapshot_at),
            "server_version": backup.server_version,
            "manifest_sha256": backup.manifest_sha256,
            "expired_at": _time(backup.expired_at),
            "trust": backup.trust.value,
            "trust_levels": [
                {"level": level.level, "at": _time(level.at), "run": level.run_id}
                for level in backup.trust_levels.all()
            ],
            "copies": [
                {"store": copy.store, "read_back_at": _time(copy.read_back_at), "digest": copy.digest}
                for copy in backup.copies.all()
            ],
        }
        for backup in found
    ]


def _signature(signature: Signature) -> Json:
    stale = signature.staleness if signature.is_stale else None
    revocation = signature.revocation if signature.is_revoked else None
    return {
        "number": signature.pk,
        "gate": signature.slot.gate.key,
        "slot": signature.slot.position,
        "label": signature.slot.label,
        "printed_name": signature.printed_name,
        "on_behalf_of": signature.for_name,
        "role": signature.role,
        "role_label": dict(Role.choices).get(signature.role, signature.role),
        "meaning": signature.meaning,
        "signed_at": _time(signature.signed_at),
        "timezone": signature.timezone,
        "method": signature.method,
        "factor_since": _time(signature.factor_since),
        "record_digest": signature.record_digest,
        "audit_sequence": signature.audit_sequence,
        "stale": {"at": _time(stale.at), "by": stale.by_name, "change": stale.change} if stale else None,
        "revoked": {"at": _time(revocation.at), "by": revocation.by_name, "reason": revocation.reason}
        if revocation
        else None,
    }


def _differences(signatures: list[Signature], current: dict[str, Json]) -> list[Json]:
    """Return the differences between the record of each stale signature and the current record."""
    return [
        {
            "signature": one.pk,
            "gate": one.slot.gate.key,
            "printed_name": one.printed_name,
            "changes": [change._asdict() for change in diff.between(one.record, current[one.slot.gate.key])],
        }
        for one in signatures
        if one.is_stale
    ]


def _time(at: datetime | None) -> str | None:
    """Return a time in UTC to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else None
