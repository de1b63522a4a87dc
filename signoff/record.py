"""The canonical record of a deployment: the content that a signature covers.

A record is plain JSON in one versioned form. Its digest is the SHA-256 of its canonical bytes
(RFC 8785, JSON Canonicalization Scheme), so the same content has the same digest everywhere.

A change of these parts makes the signatures of a gate stale (docs/decisions/0012):

* the plan: template, target, window, team, rollback plan, and the gate's own rules;
* the items of its stages, with their completions, waivers and proofs;
* the runs that prove those items, with the migrations they found, the backups they made, and the trust levels
  that these runs alone reached;
* the valid signatures of earlier gates with the digests of their records.

Work after the first gate belongs to the second gate. A later run that raises the trust in a backup, such as a
nightly test restore, changes no record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import rfc8785
from django.db.models import Prefetch, Q

from checklists.models import Completion, Deployment, Item, Proof, Waiver
from checklists.models.stage_rules import COVERED_BY
from deployctl.runs.models import Backup, BackupTrust, Run, RunState
from signoff.models.signature import Signature

if TYPE_CHECKING:
    from signoff.models.gate import Gate

SCHEMA = "deployctl.record/1"

Json = dict[str, Any]


def build(deployment: Deployment, gate_key: str) -> Json:
    """Return the record of a deployment for one gate.

    Args:
        deployment: reloaded from the database here.
        gate_key: `pre` or `post`.

    Returns:
        Plain JSON: the plan, the gate's rules, the covered items with completions and proofs, the runs with
        outcome, migrations and backups, and for a later gate the signatures of the earlier ones.
    """
    deployment = Deployment.objects.select_related("target", "template_version__template", "created_by").get(
        pk=deployment.pk
    )
    gate = deployment.gates.prefetch_related("slots").get(key=gate_key)
    version = deployment.template_version
    runs = _covered_runs(deployment, gate_key)
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
        "window": {"start": _time(deployment.window_start), "end": _time(deployment.window_end)},
        "created_by": {
            "name": deployment.created_by_name,
            "email": deployment.created_by.email if deployment.created_by else None,
        },
        "team": [
            {"name": member.user.name, "email": member.user.email, "role": member.role}
            for member in deployment.team.select_related("user").order_by("role", "user__email")
        ],
        "rollback_plan": deployment.rollback_plan,
        "rules": _rules(gate),
        "items": _items_of(deployment, gate_key),
        "runs": _runs_of(runs),
        "migrations": _migrations_of(runs),
        "backups": _backups_of(runs),
        "earlier_signatures": _earlier_signatures(gate),
    }


def digest(record: Json) -> str:
    """Return the SHA-256 of the record's canonical bytes in hexadecimal."""
    return hashlib.sha256(rfc8785.dumps(record)).hexdigest()


def _rules(gate: Gate) -> Json:
    requires = None
    if gate.requires and gate.requires_within is not None:
        requires = {"operation": gate.requires, "within_s": int(gate.requires_within.total_seconds())}
    return {
        "meaning": gate.meaning,
        "creator_may_sign": gate.creator_may_sign,
        "requires": requires,
        "slots": [
            {"label": slot.label, "role": slot.role, "quorum": slot.quorum} for slot in gate.slots.all()
        ],
    }


def _items_of(deployment: Deployment, gate_key: str) -> list[Json]:
    """Return the items that a gate covers, in the order of the checklist."""
    covered = (
        Item.objects.of_deployment(deployment.pk)
        .filter(section__stage__in=COVERED_BY[gate_key])
        .select_related("section")
        .prefetch_related("completions__by", "waivers__by", "proofs__by")
    )
    return [_item(item) for item in covered]


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
    return _author(row) | {"note": row.note}


def _waiver(row: Waiver) -> Json:
    return _author(row) | {"reason": row.reason}


def _author(row: Completion | Waiver | Proof) -> Json:
    """Return name and time; the e-mail address too, because two people may share a name."""
    return {"by": row.by_name, "email": row.by.email if row.by else None, "at": _time(row.at)}


def _proof(proof: Proof) -> Json:
    entry: Json = _author(proof) | {
        "kind": proof.kind,
        "outcome": proof.outcome,
        "valid_until": _time_or_none(proof.valid_until),
    }
    if proof.text:
        entry["text"] = proof.text
    if proof.url:
        entry["url"] = proof.url
    if proof.file_sha256:
        entry["file"] = {"name": proof.file_name, "size": proof.file_size, "sha256": proof.file_sha256}
    if proof.run_id is not None:
        entry["run"] = proof.run_id  # its outcome is in the list of runs
    return entry


def _covered_runs(deployment: Deployment, gate_key: str) -> list[Run]:
    """Return the runs that prove an item of the gate's stages, the oldest first.

    Every run of a deployment proves some item, and a gate is only signed after all of them have ended.
    """
    stages = COVERED_BY[gate_key]
    found = Run.objects.filter(authority=deployment.authority, proofs__item__section__stage__in=stages)
    return list(
        found.order_by("pk")
        .distinct()
        .select_related("requested_by", "decision__by")
        .prefetch_related("consents__by")
    )


def _runs_of(runs: Sequence[Run]) -> list[Json]:
    """Return each run with its requester, parameters and outcome."""
    return [_run(run) for run in runs]


def _migrations_of(runs: Sequence[Run]) -> Json | None:
    """Return the state of the migrations as found by the newest run that checked them.

    Returns:
        The tool, and each migration of the project by name with the checksum of its file (SHA-256; None if
        the tool's files were not read) and whether it is applied; None if no run checked.
    """
    for run in reversed(runs):
        if run.state == RunState.SUCCEEDED and "tool" in run.facts and "applied" in run.facts:
            checksums = run.facts.get("checksums", {})
            return {
                "run": run.pk,
                "tool": run.facts["tool"],
                "migrations": [
                    {"name": name, "sha256": checksums.get(name), "applied": state == "applied"}
                    for state in ("applied", "pending")
                    for name in run.facts.get(state, [])
                ],
            }
    return None


def _backups_of(runs: Sequence[Run]) -> list[Json]:
    """Return the backups that these runs made or verified, each with the trust levels that they reached.

    Levels that other runs reached are left out; otherwise every test restore would make signatures stale.
    """
    levels = BackupTrust.objects.filter(run__in=runs).order_by("pk")
    backups = Backup.objects.filter(Q(run__in=runs) | Q(trust_levels__run__in=runs)).order_by("pk").distinct()
    return [
        {
            "name": backup.name,
            "run": backup.run_id,
            "manifest_sha256": backup.manifest_sha256,
            "snapshot_at": _time(backup.snapshot_at),
            "size_bytes": backup.size_bytes,
            "rows": backup.rows,
            "trust": [
                {"level": level.level, "run": level.run_id, "at": _time(level.at)}
                for level in backup.trust_levels.all()
            ],
        }
        for backup in backups.prefetch_related(Prefetch("trust_levels", levels))
    ]


def _run(run: Run) -> Json:
    decision = getattr(run, "decision", None)
    return {
        "number": run.pk,
        "operation": run.kind,
        "params": run.params,
        "by": run.requested_by_name,
        "email": run.requested_by.email if run.requested_by else None,
        "requested_at": _time(run.requested_at),
        "started_at": _time_or_none(run.started_at),
        "finished_at": _time_or_none(run.finished_at),
        "state": run.state,
        "summary": run.summary,
        "consents": [
            {
                "by": row.by_name,
                "email": row.by.email,
                "at": _time(row.at),
                "given": row.given,
                "reason": row.reason,
            }
            for row in run.consents.all()
        ],
        "decision": decision
        and {
            "by": decision.by_name,
            "email": decision.by.email if decision.by else None,
            "at": _time(decision.at),
            "outcome": decision.outcome,
            "note": decision.note,
        },
    }


def _earlier_signatures(gate: Gate) -> list[Json]:
    valid = (
        Signature.objects.valid()
        .filter(slot__gate__deployment=gate.deployment_id, slot__gate__position__lt=gate.position)
        .select_related("slot__gate", "signer")
        .order_by("pk")
    )
    return [
        {
            "gate": signature.slot.gate.key,
            "role": signature.role,
            "name": signature.printed_name,
            "email": signature.signer.email,
            "on_behalf_of": signature.for_name or None,
            "meaning": signature.meaning,
            "at": _time(signature.signed_at),
            "digest": signature.record_digest,
            "audit_sequence": signature.audit_sequence,
        }
        for signature in valid
    ]


def _time(at: datetime) -> str:
    """Return a time in UTC to the microsecond (RFC 3339)."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _time_or_none(at: datetime | None) -> str | None:
    return None if at is None else _time(at)
