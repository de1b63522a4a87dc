"""The activity of a deployment: its audit entries as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from checklists.models import Deployment, DeploymentState
from deployctl.audit import Action
from deployctl.audit.models import Entry

ENTRIES_SHOWN = 30

ACTION_PHRASES: dict[str, str] = {
    Action.DELEGATION_CREATED: "delegated signing:",
    Action.DELEGATION_REVOKED: "revoked the delegation of",
    Action.DEPLOYMENT_APPROVED: "approved the deployment with the last signature of the first gate",
    Action.DEPLOYMENT_STARTED: "started the deployment",
    Action.DEPLOYMENT_CANCELLED: "cancelled the deployment",
    Action.DEPLOYMENT_CLOSED: "closed the deployment",
    Action.DEPLOYMENT_CREATED: "planned the deployment",
    Action.DEPLOYMENT_EDITED: "changed the plan",
    Action.DEPLOYMENT_HALTED: "halted the deployment",
    Action.DEPLOYMENT_REOPENED: "made a change that reopened the gate",
    Action.DEPLOYMENT_RESUMED: "resumed the deployment",
    Action.DEPLOYMENT_ROLLBACK_STARTED: "started the rollback",
    Action.DEPLOYMENT_ROLLED_BACK: "finished the rollback",
    Action.DEPLOYMENT_SIGNED_OFF: "signed off the deployment with the last signature of the second gate",
    Action.DEPLOYMENT_VERIFICATION_STARTED: "started verification",
    Action.EVIDENCE_EXPORTED: "exported the evidence pack",
    Action.GATE_REOPENED: "made a change that reopened",
    Action.GATE_SIGNED: "gave the last signature of",
    Action.ITEM_COMPLETED: "completed",
    Action.ITEM_FAILED: "recorded the failure of",
    Action.ITEM_ROLLED_UP: "updated the state of",
    Action.ITEM_PROOF_ADDED: "added proof to",
    Action.ITEM_PROVEN: "proved",
    Action.ITEM_RUN_REQUESTED: "started the operation of",
    Action.ITEM_REOPENED: "reopened",
    Action.ITEM_PROOF_FAILED: "could not prove",
    Action.ITEM_WAIVER_REVOKED: "undid the waiver of",
    Action.ITEM_WAIVED: "waived",
    Action.RUN_CANCEL_REQUESTED: "requested the cancellation of",
    Action.RUN_CANCELLED: "cancelled",
    Action.RUN_CONSENTED: "consented to",
    Action.RUN_DECIDED: "decided the outcome of",
    Action.RUN_FAILED: "reported the failure of",
    Action.RUN_INTERRUPTED: "marked as interrupted:",
    Action.RUN_CONSENT_EXPIRED: "ended for lack of consent:",
    Action.RUN_OBJECTED: "objected to",
    Action.RUN_REQUESTED: "requested",
    Action.RUN_STARTED: "started",
    Action.RUN_SUCCEEDED: "finished",
    Action.RUN_WORKER_LOST: "marked as unknown:",
    Action.SIGNATURE_CREATED: "signed",
    Action.SIGNATURE_REJECTED: "was not allowed to sign",
    Action.SIGNATURE_STALE: "invalidated the signature of",
    Action.SIGNATURE_REVOKED: "revoked the signature of",
}


@dataclass(frozen=True)
class ActivityEntry:
    """An entry of the activity list; `subject` is empty if it is the deployment itself."""

    at: datetime
    actor: str
    phrase: str
    subject: str
    detail: str


def timeline_of(deployment: Deployment) -> list[ActivityEntry]:
    """Return the newest entries, newest first, without evidence downloads."""
    entries = Entry.objects.of_deployment(deployment.pk).exclude(action=Action.EVIDENCE_DOWNLOADED)
    return [_activity_entry(entry, deployment) for entry in entries[:ENTRIES_SHOWN]]


def halt_of(deployment: Deployment) -> ActivityEntry | None:
    """Return the entry of the halt; None if the deployment isn't halted."""
    if deployment.state != DeploymentState.HALTED:
        return None
    entry = Entry.objects.of_deployment(deployment.pk).filter(action=Action.DEPLOYMENT_HALTED).first()
    return _activity_entry(entry, deployment) if entry else None


def action_phrase(action: str) -> str:
    """Return the phrase that connects the actor and the subject."""
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
    """Return the text that the actor entered, or the names of the changed fields."""
    data = entry.data
    if entry.action == Action.DEPLOYMENT_EDITED:
        return ", ".join(sorted(field.replace("_", " ") for field in data))
    texts = (data.get(key) for key in ("reason", "note", "text", "change", "summary"))
    return str(next(filter(None, texts), ""))
