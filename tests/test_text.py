"""Text helpers."""

from __future__ import annotations

import pytest

from deployctl.text import pluralize


@pytest.mark.parametrize(
    ("number", "nouns", "words"),
    [
        (0, ["file"], "0 files"),
        (1, ["file"], "1 file"),
        (2, ["file"], "2 files"),
        (1204, ["row"], "1,204 rows"),
        (1, ["entry"], "1 entry"),
        (3, ["entry"], "3 entries"),
        (2, ["foreign key"], "2 foreign keys"),
        (2, ["index"], "2 indexes"),
        (1, ["more person", "more people"], "1 more person"),
        (2, ["more person", "more people"], "2 more people"),
    ],
)
def test_a_noun_is_pluralized_after_its_number(number: int, nouns: list[str], words: str) -> None:
    assert pluralize(number, *nouns) == words
