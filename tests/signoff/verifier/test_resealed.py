"""Packs that were changed and sealed again: the changes that verification must detect."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from deployctl.audit import signed_statements
from signoff.verifier import pack, pack_format
from signoff.verifier.findings import Finding
from tests.signoff.verifier import handmade
from tests.signoff.verifier.handmade import KEY, PUBLIC_KEY

Change = Callable[[dict[str, Any]], object]


def places(content: bytes, *trusted: str) -> list[str]:
    return [problem.location for problem in pack.verify(content, trusted).problems]


def test_a_handmade_pack_is_accepted_with_its_facts() -> None:
    finding = pack.verify(handmade.sealed(handmade.contents()), [f" {PUBLIC_KEY.upper()}\n"])
    assert finding.problems == []
    assert finding.key_is_trusted
    assert finding.fingerprint == signed_statements.fingerprint(PUBLIC_KEY)
    assert finding.facts == {
        "deployment": 7,
        "title": "Shop",
        "target": "shop",
        "state": "approved",
        "final": False,
        "exported_at": "2026-12-01T00:00:00Z",
        "signatures": 1,
        "items": 2,
        "audit_entries": 2,
        "head": f"6:{handmade.contents()['chain']['links'][2]['hash']}",
    }


def test_a_key_is_trusted_only_by_name() -> None:
    content = handmade.sealed(handmade.contents())
    assert not pack.verify(content).key_is_trusted
    assert places(content) == []
    assert places(content, "0" * 64) == ["/seal/public_key"]
    assert places(content, "0" * 64, signed_statements.fingerprint(PUBLIC_KEY)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c["chain"]["head"].update(at="now"), ["/contents/chain/head"]),
        (
            lambda c: c["chain"].update(
                head=signed_statements.sign({**c["chain"]["head"], "schema": "other"}, KEY)
            ),
            ["/contents/chain/head"],
        ),
        (
            lambda c: c["chain"]["links"].pop(1),
            [
                "/contents/chain/links/1/previous_hash",
                "/contents/chain/links/1/sequence",
                "/contents/chain/links",
                "/contents/signatures/0/audit_sequence",
            ],
        ),
        (lambda c: c["chain"].pop("start"), ["/contents/chain", "/contents/signatures/0/audit_sequence"]),
        (lambda c: c["records"].update(x={"said": "No."}), ["/contents/records/x"]),
        (
            lambda c: c["signatures"][0].update(record_digest="x"),
            ["/contents/signatures/0/record_digest"] * 2,
        ),
        (lambda c: c["signatures"][0].update(audit_sequence=4), ["/contents/signatures/0/audit_sequence"]),
        (lambda c: c["signatures"][0].update(audit_sequence=5), ["/contents/signatures/0/audit_sequence"]),
        (lambda c: c["signatures"][0].update(printed_name="Bob"), ["/contents/signatures/0/printed_name"]),
        (lambda c: c["signatures"][0].update(printed_name="Aaa"), ["/contents/signatures/0/printed_name"]),
        (lambda c: c["signatures"][0].pop("printed_name"), ["/contents/signatures/0"]),
        (lambda c: c.update(signatures=5), ["/contents/signatures", "/contents/about"]),
        (lambda c: c["about"].pop("title"), ["/contents/about"]),
        (lambda c: c.update(records=5), ["/contents/records", "/contents/signatures/0"]),
    ],
)
def test_contents_that_disagree_are_named(change: Change, expected: list[str]) -> None:
    contents = handmade.contents()
    change(contents)
    assert places(handmade.sealed(contents)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p["contents"]["checklist"][1].update(text="x"), ["/contents/checklist/1"]),
        (lambda p: p["contents"].update(extra=1), ["/contents/extra"]),
        (lambda p: p["contents"]["checklist"].pop(), ["/contents/checklist/1"]),
        (lambda p: p["seal"].update(signature="0" * 128), ["/seal/signature"]),
        (lambda p: p["seal"].update(public_key="0" * 64), ["/seal/public_key"]),
        (lambda p: p["seal"].update(schema="deployctl.other"), ["/seal/schema"]),
        (lambda p: p["seal"]["parts"].update(x="0"), ["/seal/parts"]),
        (
            lambda p: p["seal"]["parts"].update({"/contents/about/title": "0"}),
            ["/seal/parts/~1contents~1about~1title"],
        ),
        (
            lambda p: p["seal"]["parts"].update({"/contents/about/title": "f" * 64}),
            ["/seal/parts/~1contents~1about~1title"],
        ),
        (lambda p: p["seal"].update(extra=1), ["/seal/extra"]),
        (lambda p: p["seal"].pop("schema"), ["/seal"]),
        (lambda p: p["seal"].update(parts=5), ["/seal"]),
        (lambda p: p.update(seal=5), ["/seal"]),
        (lambda p: p.update(contents=5), ["/contents"]),
        (lambda p: p.update({"a/b": 5}), ["/a~1b"]),
        (lambda p: p.pop("seal"), [""]),
    ],
)
def test_a_change_under_the_old_seal_is_named(change: Change, expected: list[str]) -> None:
    changed = json.loads(handmade.sealed(handmade.contents()))
    change(changed)
    assert places(pack_format.canonical(changed)) == expected


def test_another_way_to_write_the_same_is_named_by_its_byte() -> None:
    content = handmade.sealed(handmade.contents())
    at = content.index(b'"title"')
    finding = pack.verify(content[:at] + b" " + content[at:])
    (problem,) = finding.problems
    assert f"(byte {at})" in problem.sentence
    assert pack.verify(content[:-1]).problems[0].sentence.count(f"(byte {len(content) - 1})") == 1
    assert pack.first_difference(b"abc", b"abx") == 2
    assert pack.first_difference(b"abc", b"ab") == 2


def test_another_order_is_named_by_the_member() -> None:
    content = handmade.sealed(handmade.contents())
    first = b'"final":false,'
    changed = content.replace(first, b"").replace(b'"about":{', b'"about":{' + first)
    problems = {problem.location: problem.sentence for problem in pack.verify(changed).problems}
    assert set(problems) == {"/contents/about/deployment", "/contents/about/final"}
    at = changed.index(b'"deployment"')
    assert f"(byte {at})" in problems["/contents/about/deployment"]


@pytest.mark.parametrize("value", [{}, [], None, 5, "x", {"a/b": []}, [{}]])
def test_contents_of_any_form_are_covered_by_the_seal(value: Any) -> None:
    content = handmade.sealed({**handmade.contents(), "more": value})
    assert places(content) == []
    changed = json.loads(content)
    changed["contents"]["more"] = "changed"
    assert places(pack_format.canonical(changed)) != []


@pytest.mark.parametrize("schema", ["a", "z"])
def test_the_head_has_its_own_schema(schema: str) -> None:
    contents = handmade.contents()
    head = {name: contents["chain"]["head"][name] for name in ("sequence", "hash")}
    contents["chain"]["head"] = signed_statements.sign({**head, "schema": schema}, KEY)
    assert signed_statements.has_valid_signature(contents["chain"]["head"])
    assert places(handmade.sealed(contents)) == ["/contents/chain/head"]
    assert places(handmade.sealed(handmade.contents(), schema=schema)) == ["/seal/schema"]


def test_a_file_that_is_no_pack_trusts_no_key() -> None:
    assert not pack.verify(b"").key_is_trusted


def test_without_a_chain_a_broken_signature_is_named_itself() -> None:
    changed = json.loads(handmade.sealed({"about": 1}))
    changed["seal"]["signature"] = "0" * 128
    finding = Finding("pack")
    pack.check_seal(changed["contents"], changed["seal"], pack_format.SCHEMA, finding)
    assert [problem.location for problem in finding.problems] == ["/seal/signature"]


def test_a_streamed_list_is_written_like_any_other() -> None:
    streamed, listed = io.BytesIO(), io.BytesIO()
    digest = pack_format.write({"a": {"b": pack_format.Streamed(iter([1, "x", {}]))}}, KEY, streamed)
    pack_format.write({"a": {"b": [1, "x", {}]}}, KEY, listed)
    assert streamed.getvalue() == listed.getvalue()
    assert digest == hashlib.sha256(streamed.getvalue()).hexdigest()
