"""Split the output of programs into clean lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployctl.runs.execution.line_reader import MAX_LINE_BYTES, LineReader
from deployctl.runs.execution.masking import MASK, Masker


def _lines(*chunks: bytes, secrets: tuple[str, ...] = ()) -> list[str]:
    taken: list[str] = []
    reader = LineReader(Masker(secrets), taken.append)
    for chunk in chunks:
        reader.feed(chunk)
    reader.close()
    return taken


@pytest.mark.fault(28)
def test_colours_and_controls_are_removed_across_chunks() -> None:
    assert _lines(b"\x1b[3", b"1mred\x1b[0m\x00 \x1b]0;title\x07done\n") == ["red done"]


def test_a_carriage_return_ends_a_line_once() -> None:
    assert _lines(b"10 %\r20 %\r", b"\ndone\r\n") == ["10 %", "20 %", "done"]


@pytest.mark.fault(28)
def test_invalid_utf8_is_shown_as_replacement_characters() -> None:
    assert _lines(b"caf\xc3", b"\xa9 \xff\n") == ["café \ufffd"]


@pytest.mark.fault(28)
def test_a_line_of_ten_megabytes_is_truncated_with_a_note() -> None:
    (line,) = _lines(*[b"x" * 65536] * 160)

    assert len(line) < MAX_LINE_BYTES + 100
    assert line.endswith(f"({160 * 65536 - MAX_LINE_BYTES:,} more characters)")


def test_bidirectional_control_characters_are_removed() -> None:
    assert _lines("a\u202eb\u2028c\n".encode()) == ["abc"]


def test_a_secret_with_escape_sequences_inside_is_masked() -> None:
    assert _lines(b"hunt\x1b[1mer2", b"2 is it\n", secrets=("hunter22",)) == [f"{MASK} is it"]


def test_an_unterminated_escape_sequence_does_not_hide_the_log() -> None:
    lines = _lines(b"\x1b]" + b"x" * 5000 + b"\n", b"next\n")

    assert lines[-1] == "next"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_the_lines_do_not_depend_on_where_bytes_are_split(data: bytes, cut: int) -> None:
    assert _lines(data[:cut], data[cut:]) == _lines(data)
