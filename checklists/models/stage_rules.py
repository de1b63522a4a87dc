"""Rules for the stages of a checklist in each state of the deployment.

| stage | operations may run while | items may change |
|---|---|---|
| pre | planning, approved | until the deployment begins |
| deploy, post | deploying, verifying | until the deployment has ended |
| week, ongoing, reference | deploying, verifying, signed off | until the deployment has ended |

Before the first gate, only operations of the stage that it covers may run: its signers need the proofs.
Content that a signed gate covers may change; this reopens the gate.
"""

from __future__ import annotations

from checklists.markdown.model import GateKey, Stage
from checklists.models.deployment_state import FINAL, IN_PROGRESS, NOT_BEGUN, DeploymentState

RUNS_WHILE: dict[str, tuple[DeploymentState, ...]] = {
    Stage.PRE: NOT_BEGUN,
    Stage.DEPLOY: IN_PROGRESS,
    Stage.POST: IN_PROGRESS,
    Stage.WEEK: (*IN_PROGRESS, DeploymentState.SIGNED_OFF),
    Stage.ONGOING: (*IN_PROGRESS, DeploymentState.SIGNED_OFF),
    Stage.REFERENCE: (*IN_PROGRESS, DeploymentState.SIGNED_OFF),
}

ROLLBACK = "rollback"
"""The operation of the rollback plan. It proves no item, and runs only while a deployment is rolling back."""

COVERED_BY: dict[str, tuple[Stage, ...]] = {
    **{key.value: key.stages for key in GateKey},
    "closure": (Stage.WEEK,),
}
"""The stages that each gate covers, and those whose items must be done before closing."""

NEXT_GATE: dict[str, str] = {
    DeploymentState.PLANNING: "pre",
    DeploymentState.APPROVED: "pre",
    DeploymentState.DEPLOYING: "post",
    DeploymentState.VERIFYING: "post",
    DeploymentState.HALTED: "post",
    DeploymentState.SIGNED_OFF: "closure",
}
"""The next gate in each state; final states and a rollback have none."""


def current_stages(state: str) -> tuple[Stage, ...]:
    """Return the stages that the next gate covers in this state."""
    return COVERED_BY.get(NEXT_GATE.get(state, ""), ())


def plan_stage(state: str) -> Stage:
    """Return the stage to which changes of window, team, plan and target count in this state."""
    return Stage.PRE if state in NOT_BEGUN else Stage.DEPLOY


def run_blocked_reason(state: str, stage: str) -> str:
    """Return a message that says why a stage's operations may not start in this state, or an empty string."""
    now = DeploymentState(state)
    if now in RUNS_WHILE[stage]:
        return ""
    if now in FINAL:
        return f"The deployment is {now.label.lower()}; its operations can no longer run."
    if now == DeploymentState.PLANNING:
        return "The first gate isn't signed yet; get it signed, then begin the deployment."
    if now == DeploymentState.APPROVED:
        return "The deployment hasn't begun yet; begin it first."
    if now == DeploymentState.HALTED:
        return "The deployment is halted; resume it first."
    if now == DeploymentState.ROLLING_BACK:
        return "The deployment is rolling back; only rollback runs can start."
    if stage == Stage.PRE:
        return "The deployment has begun, so items that the first gate approved can no longer change."
    return "The second gate is signed; only operations of later stages can run."


def rollback_blocked_reason(state: str) -> str:
    """Return a message that says why a rollback run may not start in this state, or an empty string."""
    now = DeploymentState(state)
    if now == DeploymentState.ROLLING_BACK:
        return ""
    return f"The deployment is {now.label.lower()}; halt it and start its rollback first."


def frozen_reason(state: str, stage: str) -> str:
    """Return a message that says why items of a stage can no longer change, or an empty string."""
    now = DeploymentState(state)
    if now in FINAL:
        return f"The deployment is {now.label.lower()}, so it can no longer change."
    if stage == Stage.PRE and now not in NOT_BEGUN:
        return (
            "The deployment has begun, so items that the first gate approved can no longer change. "
            "Write your findings into the deployment's notes."
        )
    return ""


def is_signed(state: str, stage: str) -> bool:
    """Return True if a signed gate covers the stage, so a change would make its signatures stale."""
    signed = {DeploymentState.APPROVED: "pre", DeploymentState.SIGNED_OFF: "post"}.get(
        DeploymentState(state), ""
    )
    return stage in COVERED_BY.get(signed, ())
