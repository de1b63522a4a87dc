"""Which stage of a checklist has its turn in which state of the deployment: the rules, once.

| stage | its operations run while | what it records may change |
|---|---|---|
| pre | planning, approved | until the deployment begins |
| deploy, post | deploying, verifying | until the deployment has ended |
| week, ongoing, reference | deploying, verifying, signed off | until the deployment has ended |

Before the first gate only the stage that this gate covers has operations: its signers need their proof.
Changing what a signed gate covers is allowed, and reopens that gate.
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
"""The operation of the rollback plan: it proves no item, and has its turn while a deployment rolls back."""

COVERED_BY: dict[str, tuple[Stage, ...]] = {
    **{key.value: key.stages for key in GateKey},
    "closure": (Stage.WEEK,),
}
"""The stages that the two gates cover, and those that closing waits for."""

NEXT_GATE: dict[str, str] = {
    DeploymentState.PLANNING: "pre",
    DeploymentState.APPROVED: "pre",
    DeploymentState.DEPLOYING: "post",
    DeploymentState.VERIFYING: "post",
    DeploymentState.HALTED: "post",
    DeploymentState.SIGNED_OFF: "closure",
}
"""What a deployment is on its way to; the final states and a rollback are on the way to none."""


def current_stages(state: str) -> tuple[Stage, ...]:
    """The stages whose open items wait for somebody in this state."""
    return COVERED_BY.get(NEXT_GATE.get(state, ""), ())


def plan_stage(state: str) -> Stage:
    """Which gate covers a change of window, team, plan or target: the first until the deployment begins."""
    return Stage.PRE if state in NOT_BEGUN else Stage.DEPLOY


def run_blocked_reason(state: str, stage: str) -> str:
    """Why an operation of a stage may not start now, as a sentence; empty when it may."""
    now = DeploymentState(state)
    if now in RUNS_WHILE[stage]:
        return ""
    if now in FINAL:
        return f"The deployment is {now.label.lower()}; nothing of it starts any more."
    if now == DeploymentState.PLANNING:
        return "Operations wait for the first gate. Have it signed, then begin the deployment."
    if now == DeploymentState.APPROVED:
        return "The deployment is approved and has not begun. Begin it first."
    if now in {DeploymentState.HALTED, DeploymentState.ROLLING_BACK}:
        return f"The deployment is {now.label.lower()}: nothing new starts."
    if stage == Stage.PRE:
        return "What the first gate approved does not change once the deployment has begun."
    return "The second gate is signed; this part of the work is over."


def rollback_blocked_reason(state: str) -> str:
    """Why the rollback plan is not carried out now, as a sentence; empty when it may be."""
    now = DeploymentState(state)
    if now == DeploymentState.ROLLING_BACK:
        return ""
    return f"The deployment is {now.label.lower()}; halt it and start its rollback first."


def frozen_reason(state: str, stage: str) -> str:
    """Why an item of a stage no longer changes, as a sentence; empty when it may."""
    now = DeploymentState(state)
    if now in FINAL:
        return f"The deployment is {now.label.lower()} and no longer changes."
    if stage == Stage.PRE and now not in NOT_BEGUN:
        return (
            "What the first gate approved does not change once the deployment has begun; "
            "write what you found into the deployment's notes."
        )
    return ""


def is_signed(state: str, stage: str) -> bool:
    """Whether a signed gate covers the stage now, so that a change would withdraw its signatures."""
    signed = {DeploymentState.APPROVED: "pre", DeploymentState.SIGNED_OFF: "post"}.get(
        DeploymentState(state), ""
    )
    return stage in COVERED_BY.get(signed, ())
