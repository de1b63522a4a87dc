"""The stepper of a deployment's page: its steps, the next one, and the viewer's permitted transitions."""

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

# The next step if the gate has no blockers.
READY_STEPS = {
    DeploymentState.PLANNING: "The first gate has no blockers. It can be signed now.",
    DeploymentState.VERIFYING: "The second gate has no blockers. It can be signed now.",
    DeploymentState.SIGNED_OFF: "All items of the first week are done. The deployment can be closed now.",
}

NEXT_STEPS = {
    DeploymentState.PLANNING: "Complete the items of the first gate, then sign it.",
    DeploymentState.APPROVED: "Start the deployment when the window opens.",
    DeploymentState.DEPLOYING: "Complete the items of the deployment, then start the verification.",
    DeploymentState.VERIFYING: "Complete the verification, then sign the second gate.",
    DeploymentState.SIGNED_OFF: "Complete the items of the first week, then close the deployment.",
    DeploymentState.HALTED: "Resume the deployment or roll it back. Until then, no new operation starts.",
    DeploymentState.ROLLING_BACK: "Follow the rollback plan, then finish the rollback.",
}


@dataclass(frozen=True)
class Stepper:
    """A deployment's progress through its states, with the transitions that the viewer may make."""

    steps: tuple[DeploymentState, ...]
    current_step: DeploymentState
    next_step: str
    gate_label: str
    window_label: str
    outside_window: bool
    may_start: bool
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
        """Return True if the state has a next gate, and so a GO or NO-GO."""
        return bool(self.gate_label)


GATE_LABELS = {"pre": "the first gate", "post": "the second gate", "closure": "closing"}


def stepper_of(page: DeploymentPage) -> Stepper:
    """Return the stepper for a page."""
    deployment, permissions = page.deployment, page.permissions
    state, now = DeploymentState(deployment.state), timezone.now()
    is_blocked = any(blocker.blocks_signing for blocker in page.blockers)

    def may(transition: str, *, permitted: bool) -> bool:
        return permitted and state in TRANSITIONS[transition]

    if deployment.is_final:
        window_label = ""
    elif now < deployment.window_start:
        window_label = "opens"
    elif now <= deployment.window_end:
        window_label = "closes"
    else:
        window_label = "closed"
    return Stepper(
        steps=STEPS,
        # A halted deployment stays at the step where it was halted.
        current_step=DeploymentState(deployment.state_before_halt or state),
        next_step=(not is_blocked and READY_STEPS.get(state)) or NEXT_STEPS.get(state, ""),
        gate_label=GATE_LABELS.get(NEXT_GATE.get(state, ""), ""),
        window_label=window_label,
        outside_window=window_label != "closes",
        may_start=may("begin", permitted=permissions.may_lead),
        may_verify=may("start_verification", permitted=permissions.may_lead),
        may_close=may("close", permitted=permissions.may_lead) and not page.blockers,
        may_cancel=may("cancel", permitted=permissions.may_lead),
        may_halt=may("halt", permitted=permissions.may_halt),
        may_resume=may("resume", permitted=permissions.may_lead),
        may_roll_back=may("start_rollback", permitted=permissions.may_lead),
        may_finish_rollback=may("finish_rollback", permitted=permissions.may_lead),
        may_edit=permissions.may_lead and (state in NOT_BEGUN or not deployment.is_final),
    )
