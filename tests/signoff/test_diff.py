from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signoff import diff
from signoff.diff import Difference

RECORD: dict[str, Any] = {
    "gate": "pre",
    "window": {"start": "2026-01-01T00:00:00+00:00"},
    "rollback_plan": "Restore",
    "items": [
        {"key": "a", "text": "Notify", "state": "open", "completion": None},
        {"key": "b", "text": "Back up", "state": "done", "completion": {"by": "Dana", "note": ""}},
    ],
}


def _with(**changes: Any) -> dict[str, Any]:
    return {**RECORD, **changes}


def test_equal_records_have_no_differences() -> None:
    assert diff.between(RECORD, _with()) == []


def test_a_changed_value_shows_before_and_after() -> None:
    assert diff.between(RECORD, _with(rollback_plan="Restore and tell")) == [
        Difference("Rollback plan", "Restore", "Restore and tell")
    ]


def test_a_nested_value_is_named_by_its_path() -> None:
    changed = _with(window={"start": "2026-01-02T00:00:00+00:00"})
    assert diff.between(RECORD, changed)[0].path == "Window, start"


def test_an_item_is_named_by_its_text() -> None:
    ticked = {
        "key": "a",
        "text": "Notify",
        "state": "done",
        "completion": {"by": "Quinn", "note": "by phone"},
    }
    found = diff.between(RECORD, _with(items=[ticked, RECORD["items"][1]]))
    assert found == [
        Difference("Item “Notify”, state", "open", "done"),
        Difference("Item “Notify”, completion", "—", "by Quinn, note by phone"),
    ]


def test_added_and_removed_items_are_reported() -> None:
    new = {"key": "c", "text": "Celebrate", "state": "open", "completion": None}
    found = diff.between(RECORD, _with(items=[RECORD["items"][0], new]))
    assert found == [
        Difference("Item “Celebrate”", "—", "added"),
        Difference("Item “Back up”", "present", "removed"),
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
_records = st.dictionaries(st.sampled_from(["gate", "window", "team", "plan"]), _json, max_size=4)


@given(_records, _records)
def test_differences_are_reported_if_and_only_if_records_differ(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert bool(diff.between(before, after)) == (before != after)
