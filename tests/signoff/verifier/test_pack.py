"""The verifier accepts an exported pack and locates every change."""

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


def test_a_change_of_any_byte_is_detected_and_located(content: bytes) -> None:
    rng = random.Random(4711)
    for number, offset in enumerate(sorted(rng.sample(range(len(content)), CHANGES))):
        changed = bytearray(content)
        # Half of the changes are readable characters, as in a deliberate change.
        choice = range(256) if number % 2 else b"0123456789abcdef xyz,"
        changed[offset] = rng.choice([byte for byte in choice if byte != content[offset]])
        finding = packs.verify(bytes(changed), [signing_keys.public_key()])
        assert not finding.ok, f"a change of byte {offset} was not detected"
        assert _is_located(finding.problems, content, bytes(changed), offset), (
            f"byte {offset} is in {json_positions.pointer_at(content, offset)}; found {finding.problems}"
        )


@pytest.mark.parametrize(("name", "renamed"), [("signatures", "zignatures"), ("signatures", "aignatures")])
def test_a_renamed_member_is_located(content: bytes, name: str, renamed: str) -> None:
    changed = content.replace(f'"{name}":'.encode(), f'"{renamed}":'.encode(), 1)
    assert f"/contents/{renamed}" in {problem.location for problem in packs.verify(changed).problems}


def _is_located(problems: list[Any], content: bytes, changed: bytes, offset: int) -> bool:
    """Return True if a problem locates the byte, by its offset or by the value that contains it."""
    # A change in a member's name also changes the pointer.
    for pointer in {json_positions.pointer_at(content, offset), json_positions.pointer_at(changed, offset)}:
        for problem in problems:
            if problem.location and (
                pointer.startswith(problem.location) or problem.location.startswith(pointer)
            ):
                return True
            if "(byte " in problem.sentence:
                reported = int(problem.sentence.partition("(byte ")[2].partition(")")[0])
                return abs(reported - offset) < 300
    return False


def locations_after(content: bytes, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """Return the locations of the problems after a change that keeps the canonical form."""
    pack = json.loads(content)
    change(pack)
    return [
        problem.location
        for problem in packs.verify(pack_format.canonical(pack), [signing_keys.public_key()]).problems
    ]


def test_careful_edits_are_located(content: bytes) -> None:
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
    for location, change in changes:
        found = locations_after(content, lambda pack, change=change: change(pack["contents"]))  # type: ignore[misc]
        assert any(one.startswith(location) or location.startswith(one) for one in found if one), (
            location,
            found,
        )


def test_a_pack_sealed_with_another_key_is_detected(content: bytes) -> None:
    contents = json.loads(content)["contents"]
    contents["deployment"]["title"] = "Another"
    forged = io.BytesIO()
    pack_format.write(contents, signed_statements.read_private(signed_statements.new_key()), forged)
    alone = packs.verify(forged.getvalue())
    assert not alone.key_is_trusted
    [problem] = packs.verify(forged.getvalue(), [signing_keys.public_key()]).problems
    assert problem.location == "/seal/public_key"


# Examples of every type of JSON value, empty and not.
KINDS: list[Any] = [None, True, 5, 0.5, "x", "\u0000\u001b", [], [5], {}, {"x": 5}]


def paths_in(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in another one; of a list, only the first and the last element."""
    if isinstance(value, dict):
        inner: list[Any] = list(value)
    elif isinstance(value, list):
        inner = sorted({0, len(value) - 1}) if value else []
    else:
        return
    for step in inner:
        yield (*steps, step)
        yield from paths_in(value[step], (*steps, step))


def replaced(value: Any, steps: tuple[str | int, ...], other: Any) -> Any:
    """Return a copy of a value with the one at a path replaced."""
    if not steps:
        return other
    changed = copy.copy(value)
    changed[steps[0]] = replaced(value[steps[0]], steps[1:], other)
    return changed


def test_a_value_of_another_type_anywhere_is_a_problem(content: bytes) -> None:
    pack = json.loads(content)
    paths = list(paths_in(pack))
    # All values in the outer structure, and some of the deeper ones.
    outer = [(path, other) for path in paths if len(path) < 3 for other in KINDS]
    inner = [(path, other) for path in paths if len(path) >= 3 for other in KINDS]
    for path, other in outer + random.Random(11).sample(inner, 50):
        changed = pack_format.canonical(replaced(pack, path, other))
        if changed != content:
            assert not packs.verify(changed).ok, f"replacing {path} by {other!r} was not detected"


def test_problems_with_unprintable_text_can_be_printed_and_stored(content: bytes, pack: EvidencePack) -> None:
    changed = json.loads(content)
    changed["contents"]["\u0000\u001b[2J"] = 1
    changed["contents"]["signatures"] = 5
    with pack.file.open("wb") as stream:
        stream.write(pack_format.canonical(changed))
    assert not pack.verify().ok
    pack.refresh_from_db()
    assert r"\x00\x1b[2J" in pack.problem
    assert "/contents/signatures: This does not have the structure of a pack." in pack.problem


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
def test_other_content_is_not_accepted_as_a_pack(text: bytes) -> None:
    assert not packs.verify(text).ok


def test_entries_of_other_deployments_are_proven_but_not_disclosed(pack: EvidencePack) -> None:
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

    assert any(one.startswith("/contents/chain/") for one in locations_after(content, change))
