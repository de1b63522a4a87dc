"""The states of a deployment, and the transitions between them."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class DeploymentState(models.TextChoices):
    """The state of a deployment."""

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
"""All transitions of a deployment: verb → state before → state after.

    planning ──approve──▶ approved ──begin──▶ deploying ──start_verification──▶ verifying ──sign_off──▶
       ▲                     │                    │                                 │
       └───────reopen────────┘                    └──────────────halt───────────────┤
                                                                                    ▼
    signed_off ──close──▶ closed                   rolled_back ◀── rolling_back ◀── halted ──resume──▶ back

* Gates call `approve` and `sign_off` when their last signature is given.
* `reopen` also leads from `signed_off` back to `verifying` if content that the second gate covers changes.
  The window stays released (`window_released`), because another deployment may already hold it.
* `resume` returns to the state in which the deployment was halted (`state_before_halt`), which may also be
  `verifying`.
* `cancel` is possible before the deployment begins; afterwards it is halted, and then resumed or rolled back.
* `closed`, `cancelled` and `rolled_back` are final.
"""

PAST_PARTICIPLES: Mapping[str, str] = {
    "approve": "approved",
    "reopen": "reopened",
    "begin": "begun",
    "start_verification": "moved to verification",
    "sign_off": "signed off",
    "close": "closed",
    "cancel": "cancelled",
    "halt": "halted",
    "resume": "resumed",
    "start_rollback": "rolled back",
    "finish_rollback": "marked as rolled back",
}
"""Verbs as past participles, for sentences such as “it can't be closed”."""

NOT_BEGUN = (S.PLANNING, S.APPROVED)
IN_PROGRESS = (S.DEPLOYING, S.VERIFYING)
FINAL = (S.CLOSED, S.CANCELLED, S.ROLLED_BACK)
HOLDING = (*NOT_BEGUN, *IN_PROGRESS, S.HALTED, S.ROLLING_BACK)
# Matches deployments that hold their window; held windows of one target must not overlap. Signing off
# releases the window permanently: signatures can become stale at any time, and reopening must not conflict.
HOLDS_WINDOW = models.Q(
    state__in=[state.value for state in HOLDING],
    window_released=False,
)


class StateChange(models.Model):
    """A transition of a deployment, with actor, time and reason."""

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
