"""Due times relative to the window: parsing, formatting and calculation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checklists.markdown import due_at, format_due, parse_due

START = datetime(2030, 1, 31, 22, tzinfo=UTC)
END = START + timedelta(hours=4)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("-1w", timedelta(weeks=-1)),
        ("-2h", timedelta(hours=-2)),
        ("24h", timedelta(hours=24)),
        ("+1d12h", timedelta(hours=36)),
        ("- 90 m", timedelta(minutes=-90)),
        ("0h", timedelta()),
    ],
)
def test_offsets_are_parsed(text: str, due: timedelta) -> None:
    assert parse_due(text) == due


@pytest.mark.parametrize("text", ["", "-", "2", "h", "2y", "1.5h", "--2h", "2h3", "²h", "99999999h"])
def test_an_invalid_offset_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as -2h|ten years"):
        parse_due(text)


@settings(database=None)
@given(st.integers(-500_000, 500_000))
def test_formatted_offsets_parse_to_the_same_value(minutes: int) -> None:
    due = timedelta(minutes=minutes)
    assert parse_due(format_due(due)) == due


def test_negative_offsets_count_from_the_start_of_the_window() -> None:
    assert due_at(timedelta(hours=-2), START, END) == START - timedelta(hours=2)
    assert due_at(timedelta(), START, END) == END
    assert due_at(timedelta(hours=24), START, END) == END + timedelta(hours=24)
