"""The items of a record: what was promised, who kept it, and what proves it."""

from __future__ import annotations

from typing import Any

from checklists.models import Completion, Deployment, Item, Proof, Waiver
from checklists.models.turns import COVERED_BY
from signoff.record_values import moment, moment_or_none

Json = dict[str, Any]


def items_of(deployment: Deployment, gate_key: str) -> list[Json]:
    """The items that a gate covers, in the order of the checklist."""
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
    return _who(row) | {"note": row.note}


def _waiver(row: Waiver) -> Json:
    return _who(row) | {"reason": row.reason}


def _who(row: Completion | Waiver | Proof) -> Json:
    """Name and moment; the address as well, because two people may share a name."""
    return {"by": row.by_name, "email": row.by.email if row.by else None, "at": moment(row.at)}


def _proof(proof: Proof) -> Json:
    plain: Json = _who(proof) | {
        "kind": proof.kind,
        "outcome": proof.outcome,
        "valid_until": moment_or_none(proof.valid_until),
    }
    if proof.text:
        plain["text"] = proof.text
    if proof.url:
        plain["url"] = proof.url
    if proof.file_sha256:
        plain["file"] = {"name": proof.file_name, "size": proof.file_size, "sha256": proof.file_sha256}
    if proof.run_id is not None:
        plain["run"] = proof.run_id  # what became of it stands among the runs
    return plain
