"""Verifying an evidence pack: is every byte what was exported and signed?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from deployctl.audit import signed_statements
from signoff.verifier import chain, json_positions, pack_format
from signoff.verifier.findings import Finding

HEAD_SCHEMA = "deployctl.head/1"
MEMBERS = {"contents", "seal"}
SEAL = {"schema", "parts", "public_key", "signature"}


def verify(content: bytes, trusted: Collection[str] = ()) -> Finding:
    """Verify a pack.

    Args:
        content: all bytes of the file.
        trusted: public keys or their fingerprints in hexadecimal; where there are none, the pack's own key is
            taken, and the finding says so.
    """
    finding = Finding("evidence pack")
    pack = canonical_json(content, finding)
    if pack is None or not has_pack_format(pack, finding):
        return finding
    contents, seal = pack["contents"], pack["seal"]
    check_key(seal, trusted, finding)
    _check_contents(contents, finding)
    check_seal(contents, seal, pack_format.SCHEMA, finding)
    return finding


def canonical_json(content: bytes, finding: Finding) -> Any:
    """The value of a file that is its own canonical form, byte for byte; None after noting why it is not."""
    try:
        value = json_positions.load(content)
    except json_positions.NotJson as error:
        finding.add(error.place, f"{error} (byte {error.offset}).")
        return None
    try:
        expected = pack_format.canonical(value)
    except (ValueError, RecursionError) as error:
        finding.add("", f"This has no canonical form: {error}.")
        return None
    if expected != content:
        misplaced = json_positions.out_of_order(content)
        offset = misplaced[0] if misplaced else first_difference(expected, content)
        finding.add(
            misplaced[1] if misplaced else json_positions.pointer_at(content, offset),
            f"This is not written as it was exported (byte {offset}): other spaces, another order or another "
            "way to write the same.",
        )
        return None
    return value


def first_difference(one: bytes, other: bytes) -> int:
    """The first byte, counted from 0, in which two texts differ."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def has_pack_format(pack: Any, finding: Finding) -> bool:
    """Whether a value has the outer form of a pack; else notes what is missing or too much."""
    if not isinstance(pack, dict) or pack.keys() != MEMBERS:
        names = sorted(pack) if isinstance(pack, dict) else []
        odd = next((name for name in names if name not in MEMBERS), "")
        finding.add(
            f"/{pack_format.pointer(odd)}" if odd else "", "This is no evidence pack: it holds other members."
        )
        return False
    if not isinstance(pack["contents"], dict):
        finding.add("/contents", "This is no evidence pack: the contents are no object.")
        return False
    seal = pack["seal"]
    if not isinstance(seal, dict) or seal.keys() != SEAL or not isinstance(seal["parts"], dict):
        names = sorted(seal.keys() - SEAL) if isinstance(seal, dict) else []
        finding.add(
            f"/seal/{pack_format.pointer(names[0])}" if names else "/seal", "The seal is not in its form."
        )
        return False
    return True


def check_key(
    statement: Mapping[str, Any], trusted: Collection[str], finding: Finding, place: str = "/seal/public_key"
) -> None:
    """Note whose key it is, and whether the reader trusts it.

    Args:
        place: where the statement says its key.
    """
    try:
        finding.fingerprint = signed_statements.fingerprint(statement["public_key"])
    except (KeyError, ValueError, TypeError):
        finding.add(place, "This is no public key.")
        return
    known = {one.strip().lower() for one in trusted}
    finding.key_is_trusted = bool(known & {finding.fingerprint, statement["public_key"]})
    if known and not finding.key_is_trusted:
        finding.add(
            place,
            f"This was signed with the key {finding.fingerprint[:16]}…, which is not the one that you trust.",
        )


def check_seal(contents: Mapping[str, Any], seal: Mapping[str, Any], schema: str, finding: Finding) -> None:
    """Compare every part with its digest in the seal, and the seal with its signature."""
    if seal["schema"] != schema:
        finding.add("/seal/schema", f"This should read {schema}.")
    genuine = signed_statements.has_valid_signature(seal)
    found, listed = pack_format.parts_of(contents), seal["parts"]
    untold = [problem.place for problem in finding.problems]
    for place in sorted(found.keys() | listed.keys()):
        if place not in listed or place not in found:
            where = place if genuine else "/seal/parts"
            finding.add(where, f"The seal does not list the parts that are here: {place}.")
        elif pack_format.digest(found[place]) != listed[place]:
            if not genuine:
                finding.add(
                    f"/seal/parts/{pack_format.pointer(place)}",
                    f"The digest is not that of {place}, and the signature does not cover it.",
                )
            elif not any(told.startswith(place) for told in untold):
                finding.add(place, "This was changed: its digest is not the one that was signed.")
    if not genuine and not any(problem.place.startswith("/seal/") for problem in finding.problems):
        finding.add(_broken_part_of(contents, seal), "The signature does not fit the seal.")


def _broken_part_of(contents: Mapping[str, Any], seal: Mapping[str, Any]) -> str:
    """Where the fault lies when every part agrees with the seal: the key, or the signature."""
    head = contents.get("chain", {}).get("head", {}) if isinstance(contents.get("chain"), dict) else {}
    same_key = isinstance(head, dict) and head.get("public_key") == seal["public_key"]
    return "/seal/signature" if same_key or not head else "/seal/public_key"


def _check_contents(contents: Mapping[str, Any], finding: Finding) -> None:
    """What has to agree within a pack, whoever signed it."""
    entries: dict[int, Any] = {}
    with finding.inside("/contents/chain") as note:
        entries = chain.verify(contents["chain"], contents["about"]["deployment"], note)
        head = contents["chain"]["head"]
        if head["schema"] != HEAD_SCHEMA or not signed_statements.has_valid_signature(head):
            note("/head", "The head of the audit chain was changed: its signature does not fit.")
    with finding.inside("/contents/records") as note:
        for digest, record in contents["records"].items():
            if pack_format.digest(record) != digest:
                note(
                    f"/{pack_format.pointer(digest)}",
                    "The record was changed: it does not give the digest it is under.",
                )
    with finding.inside("/contents/signatures"):
        for number, signature in enumerate(contents["signatures"]):
            with finding.inside(f"/contents/signatures/{number}") as note:
                _check_signature(signature, contents["records"], entries, note)
    with finding.inside("/contents/about"):
        about = contents["about"]
        finding.facts = {
            "deployment": about["deployment"],
            "title": about["title"],
            "target": about["target"],
            "state": about["state"],
            "final": about["final"],
            "exported_at": about["exported_at"],
            "signatures": len(contents["signatures"]),
            "items": len(contents["checklist"]),
            "audit_entries": len(entries),
            "head": f"{contents['chain']['head']['sequence']}:{contents['chain']['head']['hash']}",
        }


def _check_signature(
    signature: Mapping[str, Any], records: Mapping[str, Any], entries: Mapping[int, Any], note: chain.Note
) -> None:
    """A signature stands over a record that is here, and has its entry in the audit chain (21 CFR 11.70)."""
    if signature["record_digest"] not in records:
        note("/record_digest", "The record that was signed is not in the pack.")
    entry = entries.get(signature["audit_sequence"])
    if entry is None or entry["action"] != "signature.created":
        note("/audit_sequence", "The audit chain has no entry of this signature.")
        return
    if entry["data"].get("digest") != signature["record_digest"]:
        note("/record_digest", "The audit chain says that another record was signed.")
    if entry["actor_name"] != signature["printed_name"]:
        note("/printed_name", "The audit chain says that somebody else signed.")
