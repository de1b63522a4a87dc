"""A pack is what was exported, byte for byte, or the verifier names the place."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployctl import audit
from deployctl.audit import Action, signed_statements, signing_keys
from signoff.models import EvidencePack
from signoff.verifier import json_positions, pack_format
from signoff.verifier import pack as packs
from tests.signoff.signing import MACHINE

CHANGES = 200


@pytest.fixture
def content(pack: EvidencePack) -> bytes:
    return pack.content()


def test_an_exported_pack_is_accepted(content: bytes, pack: EvidencePack) -> None:
    finding = packs.verify(content, [signing_keys.public_key()])
    assert finding.problems == []
    assert finding.key_is_trusted
    assert finding.facts["signatures"] == 2
    assert finding.facts["deployment"] == pack.deployment_id


def test_one_byte_changed_anywhere_is_found_and_named(content: bytes) -> None:
    rng = random.Random(4711)
    for number, offset in enumerate(sorted(rng.sample(range(len(content)), CHANGES))):
        changed = bytearray(content)
        # Half of them stay readable: those are the changes that somebody would make on purpose.
        choice = range(256) if number % 2 else b"0123456789abcdef xyz,"
        changed[offset] = rng.choice([byte for byte in choice if byte != content[offset]])
        finding = packs.verify(bytes(changed), [signing_keys.public_key()])
        assert not finding.ok, f"byte {offset} was changed and nobody noticed"
        assert _names(finding.problems, content, bytes(changed), offset), (
            f"byte {offset} is in {json_positions.pointer_at(content, offset)}; named were {finding.problems}"
        )


def _names(problems: list[Any], content: bytes, changed: bytes, offset: int) -> bool:
    """Whether one of the problems leads to the byte: by its number, or by the value that it stands in."""
    # Where the change gives a member another name, the place has another name too.
    for where in {json_positions.pointer_at(content, offset), json_positions.pointer_at(changed, offset)}:
        for problem in problems:
            if problem.place and (where.startswith(problem.place) or problem.place.startswith(where)):
                return True
            if "(byte " in problem.sentence:
                named = int(problem.sentence.partition("(byte ")[2].partition(")")[0])
                return abs(named - offset) < 300
    return False


def rewritten(content: bytes, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """The places that are named after the pack was changed and written in canonical form again."""
    pack = json.loads(content)
    change(pack)
    return [
        problem.place
        for problem in packs.verify(pack_format.canonical(pack), [signing_keys.public_key()]).problems
    ]


def test_what_somebody_edits_with_care_is_named(content: bytes) -> None:
    changes: list[tuple[str, Callable[[Any], object]]] = [
        ("/contents/checklist/0", lambda c: c["checklist"][0].update(state="waived")),
        ("/contents/checklist/10", lambda c: c["checklist"].pop()),
        ("/contents/signatures/0/printed_name", lambda c: c["signatures"][0].update(printed_name="Nobody")),
        ("/contents/signatures/0/record_digest", lambda c: c["signatures"][0].update(record_digest="0" * 64)),
        ("/contents/signatures/1/audit_sequence", lambda c: c["signatures"][1].update(audit_sequence=1)),
        ("/contents/chain/links/1", lambda c: c["chain"]["links"][1].update(actor_name="Nobody")),
        ("/contents/chain/links/2/previous_hash", lambda c: c["chain"]["links"].pop(1)),
        ("/contents/chain/head", lambda c: c["chain"]["head"].update(at="2001-01-01")),
        ("/contents/chain/head/hash", lambda c: c["chain"]["head"].update(hash="0" * 64)),
        ("/contents/extra", lambda c: c.update(extra=1)),
    ]
    for place, change in changes:
        named = rewritten(content, lambda pack, change=change: change(pack["contents"]))  # type: ignore[misc]
        assert any(one.startswith(place) or place.startswith(one) for one in named if one), (place, named)


def test_a_pack_sealed_anew_by_somebody_else_is_told_by_its_key(content: bytes) -> None:
    contents = json.loads(content)["contents"]
    contents["deployment"]["title"] = "Another"
    forged = io.BytesIO()
    pack_format.write(contents, signed_statements.read_private(signed_statements.new_key()), forged)
    alone = packs.verify(forged.getvalue())
    assert not alone.key_is_trusted
    [problem] = packs.verify(forged.getvalue(), [signing_keys.public_key()]).problems
    assert problem.place == "/seal/public_key"


# One of every kind of JSON value, small and with something in it.
KINDS: list[Any] = [None, True, 5, 0.5, "x", "\u0000\u001b", [], [5], {}, {"x": 5}]


def places_in(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value within another one, but of the elements of a list only to the first and last."""
    if isinstance(value, dict):
        inner: list[Any] = list(value)
    elif isinstance(value, list):
        inner = sorted({0, len(value) - 1}) if value else []
    else:
        return
    for step in inner:
        yield (*steps, step)
        yield from places_in(value[step], (*steps, step))


def with_another(value: Any, steps: tuple[str | int, ...], other: Any) -> Any:
    """A copy of a value in which the one at a place is another."""
    if not steps:
        return other
    changed = copy.copy(value)
    changed[steps[0]] = with_another(value[steps[0]], steps[1:], other)
    return changed


def test_a_value_of_any_other_kind_anywhere_is_a_finding(content: bytes) -> None:
    pack = json.loads(content)
    ways = list(places_in(pack))
    # Where the form of a pack is looked at, all of them; of what lies deeper, some.
    near = [(way, other) for way in ways if len(way) < 3 for other in KINDS]
    deep = [(way, other) for way in ways if len(way) >= 3 for other in KINDS]
    for way, other in near + random.Random(11).sample(deep, 50):
        changed = pack_format.canonical(with_another(pack, way, other))
        if changed != content:
            assert not packs.verify(changed).ok, f"{way} was replaced by {other!r} and nobody noticed"


def test_what_a_file_is_made_to_say_can_be_printed_and_kept(content: bytes, pack: EvidencePack) -> None:
    changed = json.loads(content)
    changed["contents"]["\u0000\u001b[2J"] = 1
    changed["contents"]["signatures"] = 5
    with pack.file.open("wb") as stream:
        stream.write(pack_format.canonical(changed))
    assert not pack.verify().ok
    pack.refresh_from_db()
    assert r"\x00\x1b[2J" in pack.problem
    assert "/contents/signatures: This is not in the form of a pack." in pack.problem


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"contents":{},"seal":{}}',
        b"\xff",
        b"[" * 100_000,
        b"NaN",
        b'{"a":1,"a":2}',
    ],
)
def test_what_is_no_pack_is_said_to_be_none(text: bytes) -> None:
    assert not packs.verify(text).ok


def test_entries_of_other_deployments_are_proven_without_being_told(pack: EvidencePack) -> None:
    signed = pack.deployment
    audit.append(Action.ITEM_WAIVED, by=MACHINE, deployment_id=4711, data={"reason": "confidential"})
    signed.cancel(MACHINE, "Not now.")
    content = EvidencePack.export(signed, MACHINE).content()
    assert b"confidential" not in content
    links = json.loads(content)["contents"]["chain"]["links"]
    hidden = [number for number, one in enumerate(links) if isinstance(one, str)]
    assert hidden
    assert packs.verify(content, [signing_keys.public_key()]).ok

    def change(pack: dict[str, Any]) -> None:
        pack["contents"]["chain"]["links"][hidden[-1]] = "0" * 64

    assert any(place.startswith("/contents/chain/") for place in rewritten(content, change))
