"""The data of audit entries as text."""

from __future__ import annotations

from typing import Any

import pytest

from deployctl.audit.descriptions import facts


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"size_bytes": 10}, [("size in bytes", "10")]),
        ({"ok": True, "reason": "", "note": None, "count": 0}, [("ok", "yes"), ("count", "0")]),
        ({"params": {"jobs": 2, "dry_run": False}}, [("parameters", "jobs: 2; dry run: no")]),
        ({"keys": ["a", "b"]}, [("keys", "a, b")]),
        ({"before": {"a": 1, "b": ""}, "after": {"a": 1, "b": "x"}}, [("b", "— → x")]),
        ({"before": "x"}, [("before", "x")]),
    ],
)
def test_facts_are_shown_as_text(data: dict[str, Any], words: list[tuple[str, str]]) -> None:
    assert facts(data) == words
