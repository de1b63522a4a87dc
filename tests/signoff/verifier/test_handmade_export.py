"""An audit export made by hand: what was replaced is named even if its hashes fit."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from deployctl.audit import signed_statements
from deployctl.audit.chain import GENESIS
from signoff.verifier import audit_export, files, pack_format
from tests.signoff.verifier.handmade import KEY, PUBLIC_KEY, entry

Entries = list[dict[str, Any]]


def _entries() -> Entries:
    first = entry(1, GENESIS)
    second = entry(2, first["hash"])
    return [first, second, entry(3, second["hash"])]


def _export(given: Entries, **changes: Any) -> list[bytes]:
    lines = [pack_format.canonical(one) for one in given]
    closing = {
        "schema": audit_export.SCHEMA,
        "entries": len(lines),
        "filters": {"deployment": "7"},
        "sha256": sha256(b"".join(lines)).hexdigest(),
        **changes,
    }
    return [*lines, pack_format.canonical(signed_statements.sign(closing, KEY))]


def _problems(lines: list[bytes]) -> list[tuple[str, str]]:
    return [(problem.location, problem.sentence) for problem in audit_export.verify(lines).problems]


def test_a_handmade_export_is_accepted_with_its_facts() -> None:
    finding = audit_export.verify(_export(_entries()), [PUBLIC_KEY])
    assert finding.problems == []
    assert finding.key_is_trusted
    assert finding.facts == {"entries": 3, "filters": {"deployment": "7"}, "last": 3}


def test_an_export_is_verified_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    for entries in (_entries(), []):
        path.write_bytes(b"".join(_export(entries)))
        finding = files.verify(path, [PUBLIC_KEY])
        assert (finding.problems, finding.facts["entries"]) == ([], len(entries))
        assert finding.key_is_trusted


def test_entries_may_be_left_out() -> None:
    entries = _entries()
    assert _problems(_export([entries[0], entries[2]])) == []
    assert _problems(_export(entries[1:])) == []
    assert _problems(_export([])) == []


@pytest.mark.parametrize(
    ("change", "place", "numbers"),
    [
        # The hash of the new entry fits its content, but not what follows.
        (lambda e: e.__setitem__(1, entry(2, e[0]["hash"], actor_name="Bob")), "line 3", ("3", "2")),
        (lambda e: e.__setitem__(0, entry(1, GENESIS, actor_name="Zoe")), "line 2", ("2", "1")),
        (lambda e: e.insert(1, e[0]), "line 2", ("1", "1")),
        (lambda e: e.append(e[0]), "line 4", ("1", "3")),
    ],
)
def test_entries_that_do_not_follow_each_other_are_named(
    change: Callable[[Entries], object], place: str, numbers: tuple[str, str]
) -> None:
    entries = _entries()
    change(entries)
    ((found, sentence),) = _problems(_export(entries))
    assert found == place
    words = sentence.translate(str.maketrans("", "", ":.,")).split()
    assert tuple(word for word in words if word.isdigit()) == numbers


@pytest.mark.parametrize(
    "changes", [{"entries": 2}, {"entries": 4}, {"sha256": "0" * 64}, {"sha256": "f" * 64}]
)
def test_a_signed_closing_line_must_fit_the_lines(changes: dict[str, Any]) -> None:
    assert [place for place, _ in _problems(_export(_entries(), **changes))] == ["the last line"]


def test_an_edited_line_is_one_problem() -> None:
    lines = _export(_entries())
    lines[1] = lines[1].replace(b"Ann", b"Bob")
    assert [place for place, _ in _problems(lines)] == ["line 2"]


def test_a_forged_closing_line_is_named() -> None:
    lines = _export(_entries())
    lines[-1] = lines[-1].replace(b'"deployment":"7"', b'"deployment":"8"')
    assert [place for place, _ in _problems(lines)] == ["the last line"]


def test_nothing_after_the_closing_line_is_read() -> None:
    lines = _export(_entries())
    assert [place for place, _ in _problems([*lines, lines[0], lines[0]])] == ["line 5"]


@pytest.mark.parametrize("change", [lambda line: b" " + line, lambda line: line[:-1] + b" \n"])
def test_a_line_in_another_form_is_named(change: Callable[[bytes], bytes]) -> None:
    lines = _export(_entries())
    lines[1] = change(lines[1])
    assert [place for place, _ in _problems(lines)] == ["line 2", "the last line"]
