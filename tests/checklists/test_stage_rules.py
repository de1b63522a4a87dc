"""The table of transitions and the rules of the stages, written out a second time."""

from __future__ import annotations

import pytest

from checklists.markdown.model import Stage
from checklists.models import deployment_state, stage_rules
from checklists.models.deployment_state import DeploymentState

STATES = [state.value for state in DeploymentState]
STAGES = [stage.value for stage in Stage]
PRE, WORK, LATE = ("pre",), ("deploy", "post"), ("week", "ongoing", "reference")
FINAL = {"closed", "cancelled", "rolled_back"}

MAY_RUN = (
    {(state, stage) for state in ("planning", "approved") for stage in PRE}
    | {(state, stage) for state in ("deploying", "verifying") for stage in WORK + LATE}
    | {("signed_off", stage) for stage in LATE}
)


def test_there_are_no_other_transitions() -> None:
    moves = {
        (verb, str(before), str(after))
        for verb, found in deployment_state.TRANSITIONS.items()
        for before, after in found.items()
    }
    assert moves == {
        ("approve", "planning", "approved"),
        ("reopen", "approved", "planning"),
        ("reopen", "signed_off", "verifying"),
        ("begin", "approved", "deploying"),
        ("start_verification", "deploying", "verifying"),
        ("sign_off", "verifying", "signed_off"),
        ("close", "signed_off", "closed"),
        ("cancel", "planning", "cancelled"),
        ("cancel", "approved", "cancelled"),
        ("halt", "deploying", "halted"),
        ("halt", "verifying", "halted"),
        ("resume", "halted", "deploying"),
        ("start_rollback", "halted", "rolling_back"),
        ("finish_rollback", "rolling_back", "rolled_back"),
    }
    assert deployment_state.PAST_PARTICIPLES.keys() == deployment_state.TRANSITIONS.keys()


def test_every_state_belongs_to_its_groups() -> None:
    assert {str(state) for state in deployment_state.NOT_BEGUN} == {"planning", "approved"}
    assert {str(state) for state in deployment_state.IN_PROGRESS} == {"deploying", "verifying"}
    assert {str(state) for state in deployment_state.FINAL} == FINAL
    assert {str(state) for state in deployment_state.HOLDING} == {*STATES} - FINAL - {"signed_off"}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", STATES)
def test_an_operation_starts_only_in_the_states_of_its_stage(state: str, stage: str) -> None:
    assert (stage_rules.run_blocked_reason(state, stage) == "") is ((state, stage) in MAY_RUN)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", STATES)
def test_an_item_is_frozen_by_the_end_or_by_the_first_gate(state: str, stage: str) -> None:
    frozen = state in FINAL or (stage == "pre" and state not in {"planning", "approved"})
    assert (stage_rules.frozen_reason(state, stage) != "") is frozen


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", STATES)
def test_a_signed_gate_covers_its_own_stages(state: str, stage: str) -> None:
    signed = {("approved", "pre"), ("signed_off", "deploy"), ("signed_off", "post")}
    assert stage_rules.is_signed(state, stage) is ((state, stage) in signed)


def test_each_blocked_state_has_a_reason_of_its_own() -> None:
    blocked = {(state, stage) for state in STATES for stage in STAGES} - MAY_RUN
    reasons = {
        "final": {stage_rules.run_blocked_reason(state, stage) for state, stage in blocked if state in FINAL},
        **{
            state: {
                stage_rules.run_blocked_reason(state, stage) for state_, stage in blocked if state_ == state
            }
            for state in ("planning", "approved", "halted", "rolling_back", "signed_off", "verifying")
        },
    }
    # One reason for each final state; two when the second gate is signed: for its stages and for the first.
    assert {state: len(found) for state, found in reasons.items()} == {
        "final": 3,
        "planning": 1,
        "approved": 1,
        "halted": 1,
        "rolling_back": 1,
        "signed_off": 2,
        "verifying": 1,
    }
    assert len(set().union(*reasons.values())) == 9


@pytest.mark.parametrize("state", STATES)
def test_the_rollback_plan_runs_only_during_a_rollback(state: str) -> None:
    assert (stage_rules.rollback_blocked_reason(state) == "") is (state == "rolling_back")


@pytest.mark.parametrize("state", STATES)
def test_open_items_wait_in_the_stages_of_the_next_gate(state: str) -> None:
    expected: dict[str, tuple[str, ...]] = {
        "planning": PRE,
        "approved": PRE,
        "deploying": WORK,
        "verifying": WORK,
        "halted": WORK,
        "signed_off": ("week",),
    }
    assert stage_rules.current_stages(state) == expected.get(state, ())


@pytest.mark.parametrize("state", STATES)
def test_the_first_gate_covers_the_plan_until_the_start(state: str) -> None:
    assert stage_rules.plan_stage(state) == ("pre" if state in {"planning", "approved"} else "deploy")
