"""What happened to a deployment, from its audit entries, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from checklists.models import Deployment, DeploymentState
from deployctl.audit import Action
from deployctl.audit.models import Entry

ENTRIES_SHOWN = 30

ACTION_PHRASES: dict[str, str] = {
    Action.DELEGATION_CREATED: "let somebody else sign:",
    Action.DELEGATION_REVOKED: "ended the delegation of",
    Action.DEPLOYMENT_APPROVED: "gave the last signature of the first gate: approved",
    Action.DEPLOYMENT_STARTED: "began the deployment",
    Action.DEPLOYMENT_CANCELLED: "cancelled the deployment",
    Action.DEPLOYMENT_CLOSED: "closed the deployment",
    Action.DEPLOYMENT_CREATED: "planned the deployment",
    Action.DEPLOYMENT_EDITED: "changed the plan",
    Action.DEPLOYMENT_HALTED: "halted the deployment",
    Action.DEPLOYMENT_REOPENED: "changed what was approved: the gate is open again",
    Action.DEPLOYMENT_RESUMED: "resumed the deployment",
    Action.DEPLOYMENT_ROLLBACK_STARTED: "started the rollback",
    Action.DEPLOYMENT_ROLLED_BACK: "finished the rollback",
    Action.DEPLOYMENT_SIGNED_OFF: "gave the last signature of the second gate: signed off",
    Action.DEPLOYMENT_VERIFICATION_STARTED: "started verification",
    Action.EVIDENCE_EXPORTED: "exported the evidence:",
    Action.GATE_REOPENED: "opened again, by a change,",
    Action.GATE_SIGNED: "gave the last signature of",
    Action.ITEM_COMPLETED: "ticked",
    Action.ITEM_FAILED: "saw fail",
    Action.ITEM_ROLLED_UP: "thereby moved",
    Action.ITEM_PROOF_ADDED: "added proof to",
    Action.ITEM_PROVEN: "had proven",
    Action.ITEM_RUN_REQUESTED: "started the operation of",
    Action.ITEM_REOPENED: "opened again",
    Action.ITEM_PROOF_FAILED: "could not prove",
    Action.ITEM_WAIVER_REVOKED: "withdrew the waiver of",
    Action.ITEM_WAIVED: "waived",
    Action.RUN_CANCEL_REQUESTED: "asked to cancel",
    Action.RUN_CANCELLED: "cancelled",
    Action.RUN_CONSENTED: "consented to",
    Action.RUN_DECIDED: "decided what became of",
    Action.RUN_FAILED: "saw fail",
    Action.RUN_INTERRUPTED: "lost",
    Action.RUN_CONSENT_EXPIRED: "waited too long for consent and gave up",
    Action.RUN_OBJECTED: "objected to",
    Action.RUN_REQUESTED: "asked for",
    Action.RUN_STARTED: "started",
    Action.RUN_SUCCEEDED: "finished",
    Action.RUN_WORKER_LOST: "lost, with its outcome unknown,",
    Action.SIGNATURE_CREATED: "signed",
    Action.SIGNATURE_REJECTED: "was refused to sign",
    Action.SIGNATURE_STALE: "changed what was signed by",
    Action.SIGNATURE_REVOKED: "withdrew the signature of",
}


@dataclass(frozen=True)
class ActivityEntry:
    """Who did what, when; and to what, where that is not the deployment itself."""

    at: datetime
    actor: str
    phrase: str
    subject: str
    detail: str


def timeline_of(deployment: Deployment) -> list[ActivityEntry]:
    """The newest entries of a deployment, newest first; who took its evidence away is in the audit log."""
    entries = Entry.objects.of_deployment(deployment.pk).exclude(action=Action.EVIDENCE_DOWNLOADED)
    return [_activity_entry(entry, deployment) for entry in entries[:ENTRIES_SHOWN]]


def halt_of(deployment: Deployment) -> ActivityEntry | None:
    """Who halted a deployment that is halted now, when and why."""
    if deployment.state != DeploymentState.HALTED:
        return None
    entry = Entry.objects.of_deployment(deployment.pk).filter(action=Action.DEPLOYMENT_HALTED).first()
    return _activity_entry(entry, deployment) if entry else None


def action_phrase(action: str) -> str:
    """An action as it reads between a name and a thing."""
    return ACTION_PHRASES.get(action) or action.replace("_", " ").replace(".", ": ")


def _activity_entry(entry: Entry, deployment: Deployment) -> ActivityEntry:
    return ActivityEntry(
        at=entry.at,
        actor=entry.actor_name,
        phrase=action_phrase(entry.action),
        subject="" if entry.subject_type == deployment._meta.label_lower else entry.subject,
        detail=_detail(entry),
    )


def _detail(entry: Entry) -> str:
    """What the person wrote along with it, or which parts of the plan they changed."""
    data = entry.data
    if entry.action == Action.DEPLOYMENT_EDITED:
        return ", ".join(sorted(field.replace("_", " ") for field in data))
    written = (data.get(key) for key in ("reason", "note", "text", "change", "summary"))
    return str(next(filter(None, written), ""))
