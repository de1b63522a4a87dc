"""Mask secrets in every encoding, wherever output is split."""

from __future__ import annotations

import base64
import itertools
import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployctl.runs.execution.masking import MASK, MaskedStream, Masker, encodings

AWKWARD = "p@ss:w/o#rd%'\"\\ ü"


def _masked_in_pieces(masker: Masker, text: str, cuts: list[int]) -> str:
    stream = MaskedStream(masker)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    return "".join(stream.feed(piece) for piece in pieces) + stream.close()


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    "written",
    [
        AWKWARD,
        quote(AWKWARD, safe=""),
        quote(AWKWARD, safe="").lower(),
        json.dumps(AWKWARD),
        repr(AWKWARD),
        "'" + AWKWARD.replace("'", "''") + "'",
        base64.b64encode(AWKWARD.encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_encoding(written: str) -> None:
    shown = Masker([AWKWARD]).mask(f"before {written} after")

    assert MASK in shown
    assert "w/o" not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
def test_a_secret_within_longer_base64_is_masked(before: str) -> None:
    secret = "correct-horse-battery"
    encoded = base64.b64encode(f"{before}{secret}@db/x".encode()).decode()

    shown = Masker([secret]).mask(encoded)

    # The first and last characters also contain bits of the neighbouring bytes.
    hidden = len(encoded) - len(shown.replace(MASK, ""))
    assert hidden >= len(secret) * 8 // 6 - 2


def test_a_secret_that_is_too_short_is_not_masked() -> None:
    assert Masker(["abc"]).mask("abcdef") == "abcdef"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("abc", min_size=4, max_size=6), min_size=1, max_size=3),
    st.text("abc", max_size=40),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_the_masked_text_does_not_depend_on_where_output_is_split(
    secrets: list[str], text: str, cuts: list[int]
) -> None:
    masker = Masker(secrets)

    assert _masked_in_pieces(masker, text, cuts) == masker.mask(text)


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=4, max_size=12), st.text(max_size=20), st.text(max_size=20))
def test_no_part_of_a_secret_remains(secret: str, before: str, after: str) -> None:
    shown = Masker([secret]).mask(before + secret + after)

    assert all(secret not in part for part in shown.split(MASK))


def test_only_the_possible_start_of_a_secret_is_held_back() -> None:
    stream = MaskedStream(Masker(["hunter22"]))

    assert stream.feed("password: hun") == "password: "
    assert stream.feed("ting\n") == "hunting\n"


def test_json_is_masked_in_keys_and_values() -> None:
    masked = Masker(["hunter22"]).mask_json({"hunter22": ["x hunter22", 7, None]})

    assert masked == {MASK: [f"x {MASK}", 7, None]}


def test_every_encoding_is_too_long_to_hide_ordinary_text() -> None:
    assert all(len(encoding) >= 4 for encoding in encodings(AWKWARD))
