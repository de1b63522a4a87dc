"""Where a deployment is on its way, what comes next, and what the viewer may press."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from checklists.models import DeploymentState
from checklists.models.deployment_state import NOT_BEGUN, TRANSITIONS
from checklists.models.stage_rules import NEXT_GATE
from checklists.presenters.deployment_page import DeploymentPage

STEPS = (
    DeploymentState.PLANNING,
    DeploymentState.APPROVED,
    DeploymentState.DEPLOYING,
    DeploymentState.VERIFYING,
    DeploymentState.SIGNED_OFF,
    DeploymentState.CLOSED,
)

# Once nothing is in the way any more.
READY_STEPS = {
    DeploymentState.PLANNING: "Nothing is in the way: have the first gate signed.",
    DeploymentState.VERIFYING: "Nothing is in the way: have the second gate signed.",
    DeploymentState.SIGNED_OFF: "Nothing is left of the first week: close it.",
}

NEXT_STEPS = {
    DeploymentState.PLANNING: "Tick or run what the first gate covers, then have it signed.",
    DeploymentState.APPROVED: "Begin when the window opens.",
    DeploymentState.DEPLOYING: "Do the work of the day, then start verification.",
    DeploymentState.VERIFYING: "Verify, then have the second gate signed.",
    DeploymentState.SIGNED_OFF: "Do what is left of the first week, then close it.",
    DeploymentState.HALTED: "Assess, then resume or roll back. Nothing new starts meanwhile.",
    DeploymentState.ROLLING_BACK: "Follow the rollback plan; say so when the target is as it was.",
}


@dataclass(frozen=True)
class Stepper:
    """The way of a deployment as its page draws it."""

    steps: tuple[DeploymentState, ...]
    current_step: DeploymentState
    next_step: str
    gate_label: str
    window_label: str
    outside_window: bool
    may_begin: bool
    may_verify: bool
    may_close: bool
    may_cancel: bool
    may_halt: bool
    may_resume: bool
    may_roll_back: bool
    may_finish_rollback: bool
    may_edit: bool

    @property
    def has_verdict(self) -> bool:
        """Whether GO or NO-GO is a question now."""
        return bool(self.gate_label)


GATES = {"pre": "the first gate", "post": "the second gate", "closure": "closing"}


def stepper_of(page: DeploymentPage) -> Stepper:
    """Read off a page where its deployment is, and what its viewer may do."""
    deployment, permissions = page.deployment, page.permissions
    state, now = DeploymentState(deployment.state), timezone.now()
    is_blocked = any(blocker.blocks_signing for blocker in page.blockers)

    def may(verb: str, *, by_right: bool) -> bool:
        return by_right and state in TRANSITIONS[verb]

    if deployment.is_final:
        window_label = ""  # it waits for no window any more
    elif now < deployment.window_start:
        window_label = "opens"
    elif now <= deployment.window_end:
        window_label = "closes"
    else:
        window_label = "closed"
    return Stepper(
        steps=STEPS,
        # A halted deployment is still where it was halted.
        current_step=DeploymentState(deployment.state_before_halt or state),
        next_step=(not is_blocked and READY_STEPS.get(state)) or NEXT_STEPS.get(state, ""),
        gate_label=GATES.get(NEXT_GATE.get(state, ""), ""),
        window_label=window_label,
        outside_window=window_label != "closes",
        may_begin=may("begin", by_right=permissions.may_lead),
        may_verify=may("start_verification", by_right=permissions.may_lead),
        may_close=may("close", by_right=permissions.may_lead) and not page.blockers,
        may_cancel=may("cancel", by_right=permissions.may_lead),
        may_halt=may("halt", by_right=permissions.may_halt),
        may_resume=may("resume", by_right=permissions.may_lead),
        may_roll_back=may("start_rollback", by_right=permissions.may_lead),
        may_finish_rollback=may("finish_rollback", by_right=permissions.may_lead),
        may_edit=permissions.may_lead and (state in NOT_BEGUN or not deployment.is_final),
    )
