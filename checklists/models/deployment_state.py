"""Where a deployment can be, and the only ways from one place to another."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class DeploymentState(models.TextChoices):
    """Where a deployment is."""

    PLANNING = "planning", "Planning"
    APPROVED = "approved", "Approved"
    DEPLOYING = "deploying", "Deploying"
    VERIFYING = "verifying", "Verifying"
    SIGNED_OFF = "signed_off", "Signed off"
    CLOSED = "closed", "Closed"
    HALTED = "halted", "Halted"
    ROLLING_BACK = "rolling_back", "Rolling back"
    ROLLED_BACK = "rolled_back", "Rolled back"
    CANCELLED = "cancelled", "Cancelled"


S = DeploymentState

TRANSITIONS: Mapping[str, Mapping[DeploymentState, DeploymentState]] = {
    "approve": {S.PLANNING: S.APPROVED},
    "reopen": {S.APPROVED: S.PLANNING, S.SIGNED_OFF: S.VERIFYING},
    "begin": {S.APPROVED: S.DEPLOYING},
    "start_verification": {S.DEPLOYING: S.VERIFYING},
    "sign_off": {S.VERIFYING: S.SIGNED_OFF},
    "close": {S.SIGNED_OFF: S.CLOSED},
    "cancel": {S.PLANNING: S.CANCELLED, S.APPROVED: S.CANCELLED},
    "halt": {S.DEPLOYING: S.HALTED, S.VERIFYING: S.HALTED},
    "resume": {S.HALTED: S.DEPLOYING},
    "start_rollback": {S.HALTED: S.ROLLING_BACK},
    "finish_rollback": {S.ROLLING_BACK: S.ROLLED_BACK},
}
"""Every move of a deployment: verb → the state it leaves → the state it reaches.

    planning ──approve──▶ approved ──begin──▶ deploying ──start_verification──▶ verifying ──sign_off──▶
       ▲                     │                    │                                 │
       └───────reopen────────┘                    └──────────────halt───────────────┤
                                                                                    ▼
    signed_off ──close──▶ closed                   rolled_back ◀── rolling_back ◀── halted ──resume──▶ back

* `approve` and `sign_off` belong to the gates: each happens when the last signature of a gate is given.
* `reopen` also takes `signed_off` back to `verifying`, when something that the second gate covers changed.
  The window, which others may hold by then, stays given up (`window_released`).
* `resume` returns to where the deployment was halted (`state_before_halt`), which may be `verifying`.
* `cancel` is for what has not begun; what has begun is halted and then resumed or rolled back.
* `closed`, `cancelled` and `rolled_back` are final.
"""

PAST_PARTICIPLES: Mapping[str, str] = {
    "approve": "approved",
    "reopen": "reopened",
    "begin": "begun",
    "start_verification": "taken to verification",
    "sign_off": "signed off",
    "close": "closed",
    "cancel": "cancelled",
    "halt": "halted",
    "resume": "resumed",
    "start_rollback": "rolled back",
    "finish_rollback": "marked as rolled back",
}
"""How a verb reads in a sentence: “it cannot be …”."""

NOT_BEGUN = (S.PLANNING, S.APPROVED)
IN_PROGRESS = (S.DEPLOYING, S.VERIFYING)
FINAL = (S.CLOSED, S.CANCELLED, S.ROLLED_BACK)
HOLDING = (*NOT_BEGUN, *IN_PROGRESS, S.HALTED, S.ROLLING_BACK)
# Holds its window: no other deployment of the same target may do so at the same time. Being signed off gives
# the window up for good: a signature can be lost whenever, and must not find the window taken then.
HOLDS_WINDOW = models.Q(
    state__in=[state.value for state in HOLDING],
    window_released=False,
)


class StateChange(models.Model):
    """A deployment's move from one state to another: who, when, why."""

    deployment = models.ForeignKey(
        "checklists.Deployment", on_delete=models.PROTECT, related_name="state_changes"
    )
    from_state = models.CharField(max_length=20, choices=DeploymentState.choices, blank=True)
    to_state = models.CharField(max_length=20, choices=DeploymentState.choices)
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.deployment}: {self.from_state} → {self.to_state}"
