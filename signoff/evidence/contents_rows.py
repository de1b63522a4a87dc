"""Rows of an evidence pack: items with everything said of them, runs, backups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from checklists.models import Completion, Deployment, Item, Proof, Waiver
from deployctl.runs.models import Backup, Run

Json = dict[str, Any]


def checklist(deployment: Deployment) -> list[Json]:
    """Every item, of whatever stage, with all that was ever said of it."""
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
        "due_at": time_of(item.due_at),
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
        "at": time_of(row.at),
        "note": row.note,
        "undone_at": time_of(row.undone_at),
        "undone_by": row.undone_by_name,
    }


def _waiver(row: Waiver) -> Json:
    return {
        "by": row.by_name,
        "at": time_of(row.at),
        "reason": row.reason,
        "withdrawn_at": time_of(row.withdrawn_at),
        "withdrawn_by": row.withdrawn_by_name,
    }


def _proof(proof: Proof) -> Json:
    return {
        "kind": proof.kind,
        "outcome": proof.outcome,
        "by": proof.by_name,
        "at": time_of(proof.at),
        "valid_until": time_of(proof.valid_until),
        "text": proof.text,
        "url": proof.url,
        "file": {"name": proof.file_name, "size": proof.file_size, "sha256": proof.file_sha256}
        if proof.file_sha256
        else None,
        "run": proof.run_id,
    }


def runs_of(deployment: Deployment) -> list[Run]:
    """Runs that rest on the deployment or prove one of its items."""
    proving = Proof.objects.of_deployment(deployment.pk).exclude(run=None).values("run")
    found = Run.objects.filter(Q(authority=deployment.authority) | Q(pk__in=proving))
    return list(found.select_related("decision").prefetch_related("steps").order_by("pk"))


def run(run: Run) -> Json:
    """One run with its steps, its outcome and what was decided of it."""
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
        "requested_at": time_of(run.requested_at),
        "started_at": time_of(run.started_at),
        "finished_at": time_of(run.finished_at),
        "summary": run.summary,
        "facts": run.facts,
        "decision": decision
        and {
            "by": decision.by_name,
            "at": time_of(decision.at),
            "outcome": decision.outcome,
            "note": decision.note,
        },
        "steps": [
            {"name": step.name, "state": step.state, "detail": step.detail} for step in run.steps.all()
        ],
    }


def backups(runs: list[Run]) -> list[Json]:
    """Backups that these runs made or proved."""
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
            "snapshot_at": time_of(backup.snapshot_at),
            "server_version": backup.server_version,
            "manifest_sha256": backup.manifest_sha256,
            "expired_at": time_of(backup.expired_at),
            "trust": backup.trust.value,
            "trust_levels": [
                {"level": level.level, "at": time_of(level.at), "run": level.run_id}
                for level in backup.trust_levels.all()
            ],
            "copies": [
                {"store": copy.store, "read_back_at": time_of(copy.read_back_at), "digest": copy.digest}
                for copy in backup.copies.all()
            ],
        }
        for backup in found
    ]


def time_of(moment: datetime | None) -> str | None:
    """A moment in UTC to the second, or nothing where it has not come."""
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None
