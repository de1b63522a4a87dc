"""Exports of the audit log, which the offline verifier accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from deployctl import audit
from deployctl.audit import Action, Machine, exports, signing_keys
from deployctl.audit.models import Entry
from signoff.verifier import audit_export as verifier
from signoff.verifier import pack_format

TEST = Machine("test")


@pytest.fixture
def exported(db: Any) -> list[bytes]:
    for number in range(5):
        audit.append(Action.PERSON_EDITED, by=TEST, deployment_id=number % 2, data={"number": number})
    return list(exports.export(Entry.objects.all(), by=TEST, filters={}))


def test_an_export_verifies_and_is_audited_but_does_not_contain_itself(exported: list[bytes]) -> None:
    finding = verifier.verify(exported, [signing_keys.public_key()])
    assert finding.problems == []
    assert (finding.facts["entries"], finding.key_is_trusted) == (5, True)
    assert Entry.objects.first().action == Action.AUDIT_EXPORTED


def test_a_filtered_export_verifies(exported: list[bytes]) -> None:
    found = Entry.objects.of_deployment(1)
    lines = list(exports.export(found, by=TEST, filters={"deployment": 1}))
    finding = verifier.verify(lines)
    assert (finding.problems, finding.facts["entries"]) == ([], 2)
    assert json.loads(lines[-1])["filters"] == {"deployment": "1"}


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (lambda at: [*at[:2], at[2].replace(b'"number":2', b'"number":3'), *at[3:]], "line 3", "was changed"),
        (lambda at: [*at[:2], b" " + at[2], *at[3:]], "line 3", "not written as"),
        (lambda at: [*at[:2], b"{\n", *at[3:]], "line 3", "not JSON"),
        (lambda at: [*at[:2], *at[3:]], "the last line", "is 4, but this line says 5"),
        (lambda at: [at[0], at[2], at[1], *at[3:]], "line 3", "out of order"),
        (lambda at: at[:-1], "the end", "closing line is missing"),
        (lambda at: [*at, at[0]], "line 7", "after the closing line"),
        (lambda at: [*at[:-1], at[-1].replace(b'"entries":5', b'"entries":6')], "the last line", "signature"),
    ],
    ids=["edited", "space", "broken", "removed", "swapped", "cut", "appended", "closing"],
)
def test_a_change_of_an_export_is_located(
    exported: list[bytes], change: Change, place: str, words: str
) -> None:
    problems = verifier.verify(change(exported)).problems
    assert any(problem.location == place and words in problem.sentence for problem in problems), problems


def test_many_entries_are_read_in_chunks(
    db: Any, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(exports, "CHUNK_SIZE", 3)
    for _ in range(7):
        audit.append(Action.PERSON_EDITED, by=TEST)
    with django_assert_num_queries(4):
        assert [entry.sequence for entry in exports.in_order(Entry.objects.all())] == [*range(1, 8)]


@pytest.mark.parametrize("key", [{}, {"public_key": 5}, {"public_key": "x"}, {"public_key": None}])
def test_a_closing_line_without_a_usable_key_is_a_problem(exported: list[bytes], key: dict[str, Any]) -> None:
    closing = {name: value for name, value in json.loads(exported[-1]).items() if name != "public_key"} | key
    problems = verifier.verify([*exported[:-1], pack_format.canonical(closing)]).problems
    assert ("the last line", "This isn't a public key.") in [(one.location, one.sentence) for one in problems]


def test_malformed_lines_do_not_verify(exported: list[bytes]) -> None:
    entry = json.loads(exported[2])
    for name in entry:
        for other in (None, True, 5, "x", [5], {"x": 5}):
            changed = pack_format.canonical(entry | {name: other})
            if changed != exported[2]:
                assert not verifier.verify([*exported[:2], changed, *exported[3:]]).ok
    for line in (b"5\n", b"[5]\n", b"null\n", b"[" * 100_000 + b"\n", b"[" * 900 + b"]" * 900 + b"\n"):
        assert not verifier.verify([*exported[:2], line, *exported[3:]]).ok
