"""The part of the audit chain that a pack carries, made by hand: each damage has its own place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployctl.audit.chain import GENESIS
from signoff.verifier import chain
from tests.signoff.verifier import handmade
from tests.signoff.verifier.handmade import DEPLOYMENT


def _verify(carried: dict[str, Any]) -> tuple[dict[int, Any], list[tuple[str, str]]]:
    notes: list[tuple[str, str]] = []
    entries = chain.verify(carried, DEPLOYMENT, lambda place, sentence: notes.append((place, sentence)))
    return entries, notes


def test_an_intact_chain_gives_the_deployments_entries() -> None:
    carried = handmade.chain()
    entries, notes = _verify(carried)
    assert notes == []
    assert entries == {4: carried["links"][0], 6: carried["links"][2]}


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (lambda c: c["links"][2].update(actor_name="Nobody"), ["/links/2"]),
        (lambda c: c["links"][2].update(hash="f" * 64), ["/links/2", "/head/hash"]),
        (lambda c: c["links"][2].update(hash=GENESIS), ["/links/2", "/head/hash"]),
        (lambda c: c["links"].__setitem__(1, "f" * 64), ["/links/2/previous_hash"]),
        (lambda c: c["links"].__setitem__(1, GENESIS), ["/links/2/previous_hash"]),
        (lambda c: c["start"].update(previous_hash="f" * 64), ["/links/0/previous_hash"]),
        (lambda c: c["links"].pop(), ["/links"]),
        (lambda c: c["head"].update(sequence=5), ["/links"]),
        (lambda c: c["head"].update(sequence=7), ["/links"]),
        (lambda c: c["head"].update(hash="f" * 64), ["/head/hash"]),
        (lambda c: c["head"].update(hash=GENESIS), ["/head/hash"]),
    ],
)
def test_a_change_is_noted_where_it_is(change: Callable[[dict[str, Any]], object], places: list[str]) -> None:
    carried = handmade.chain()
    change(carried)
    assert [place for place, _ in _verify(carried)[1]] == places


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"deployment": 6}, "/links/2/deployment"),
        ({"deployment": 8}, "/links/2/deployment"),
        ({"sequence": 5}, "/links/2/sequence"),
        ({"sequence": 7}, "/links/2/sequence"),
    ],
)
def test_an_entry_that_does_not_belong_here_is_noted(changes: dict[str, int], place: str) -> None:
    assert [found for found, _ in _verify(handmade.chain(**changes))[1]] == [place]


def test_a_gap_is_between_the_entries_around_it() -> None:
    carried = handmade.chain()
    carried["links"][1] = "f" * 64
    ((_, sentence),) = _verify(carried)[1]
    assert "/links/0" in sentence
    assert "6" in sentence
