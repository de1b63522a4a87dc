"""Verify that every byte of an evidence pack is as exported and signed."""

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
        trusted: public keys or fingerprints in hexadecimal. If there are none, the key in the pack is used,
            and `Finding.key_is_trusted` is False.
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
    """Return the value of a file in canonical form; add a problem and return None if it is not canonical."""
    try:
        value = json_positions.load(content)
    except json_positions.NotJson as error:
        finding.add(error.location, f"{error} (byte {error.offset}).")
        return None
    try:
        expected = pack_format.canonical(value)
    except (ValueError, RecursionError) as error:
        finding.add("", f"This cannot be written as canonical JSON: {error}.")
        return None
    if expected != content:
        misplaced = json_positions.out_of_order(content)
        offset = misplaced.offset if misplaced else first_difference(expected, content)
        if misplaced:  # either of the two members may have been renamed
            finding.add(misplaced.previous, "This member and the next one are not in canonical order.")
        finding.add(
            misplaced.location if misplaced else json_positions.pointer_at(content, offset),
            f"This is not canonical JSON (byte {offset}): the white space, order or notation was changed.",
        )
        return None
    return value


def first_difference(one: bytes, other: bytes) -> int:
    """Return the offset of the first byte in which two texts differ."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def has_pack_format(pack: Any, finding: Finding) -> bool:
    """Return True if a value has the outer structure of a pack; else add a problem."""
    if not isinstance(pack, dict) or pack.keys() != MEMBERS:
        names = sorted(pack) if isinstance(pack, dict) else []
        odd = next((name for name in names if name not in MEMBERS), "")
        finding.add(
            f"/{pack_format.pointer(odd)}" if odd else "",
            "This isn't an evidence pack: its members are different.",
        )
        return False
    if not isinstance(pack["contents"], dict):
        finding.add("/contents", "This isn't an evidence pack: the contents are not an object.")
        return False
    seal = pack["seal"]
    if not isinstance(seal, dict) or seal.keys() != SEAL or not isinstance(seal["parts"], dict):
        names = sorted(seal.keys() - SEAL) if isinstance(seal, dict) else []
        finding.add(
            f"/seal/{pack_format.pointer(names[0])}" if names else "/seal",
            "The seal does not have its structure.",
        )
        return False
    return True


def check_key(
    statement: Mapping[str, Any],
    trusted: Collection[str],
    finding: Finding,
    location: str = "/seal/public_key",
) -> None:
    """Set the fingerprint of the key and whether it is trusted; add a problem if it is not.

    Args:
        location: the location of the key in the file.
    """
    try:
        finding.fingerprint = signed_statements.fingerprint(statement["public_key"])
    except (KeyError, ValueError, TypeError):
        finding.add(location, "This isn't a public key.")
        return
    known = {one.strip().lower() for one in trusted}
    finding.key_is_trusted = bool(known & {finding.fingerprint, statement["public_key"]})
    if known and not finding.key_is_trusted:
        finding.add(
            location,
            f"This was signed with the key {finding.fingerprint[:16]}…, which isn't a trusted key.",
        )


def check_seal(contents: Mapping[str, Any], seal: Mapping[str, Any], schema: str, finding: Finding) -> None:
    """Compare every part with its digest in the seal, and verify the signature of the seal."""
    if seal["schema"] != schema:
        finding.add("/seal/schema", f"The schema should be {schema}.")
    genuine = signed_statements.has_valid_signature(seal)
    parts, listed = pack_format.parts_of(contents), seal["parts"]
    known = [problem.location for problem in finding.problems]
    for location in sorted(parts.keys() | listed.keys()):
        if location not in listed or location not in parts:
            where = location if genuine else "/seal/parts"
            finding.add(where, f"The seal and the contents have different parts: {location}.")
        elif pack_format.digest(parts[location]) != listed[location]:
            if not genuine:
                finding.add(
                    f"/seal/parts/{pack_format.pointer(location)}",
                    f"The digest does not match {location}, and the signature does not cover it.",
                )
            elif not any(one.startswith(location) for one in known):
                finding.add(location, "This was changed: its digest is not the signed one.")
    if not genuine and not any(problem.location.startswith("/seal/") for problem in finding.problems):
        finding.add(_altered_member(contents, seal), "The signature of the seal is invalid.")


def _altered_member(contents: Mapping[str, Any], seal: Mapping[str, Any]) -> str:
    """Return the member of the seal that was altered if all digests match: the signature or the key."""
    head = contents.get("chain", {}).get("head", {}) if isinstance(contents.get("chain"), dict) else {}
    same_key = isinstance(head, dict) and head.get("public_key") == seal["public_key"]
    return "/seal/signature" if same_key or not head else "/seal/public_key"


def _check_contents(contents: Mapping[str, Any], finding: Finding) -> None:
    """Check the consistency of the contents, independently of the seal."""
    entries: dict[int, Any] = {}
    with finding.inside("/contents/chain") as note:
        entries = chain.verify(contents["chain"], contents["about"]["deployment"], note)
        head = contents["chain"]["head"]
        if head["schema"] != HEAD_SCHEMA or not signed_statements.has_valid_signature(head):
            note("/head", "The head of the audit chain was changed: its signature is invalid.")
    with finding.inside("/contents/records") as note:
        for digest, record in contents["records"].items():
            if pack_format.digest(record) != digest:
                note(
                    f"/{pack_format.pointer(digest)}",
                    "The record was changed: it does not match its digest.",
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
    """Check that the signed record is in the pack and the signature in the audit chain (21 CFR 11.70)."""
    if signature["record_digest"] not in records:
        note("/record_digest", "The signed record is not in the pack.")
    entry = entries.get(signature["audit_sequence"])
    if entry is None or entry["action"] != "signature.created":
        note("/audit_sequence", "The audit chain does not contain this signature.")
        return
    if entry["data"].get("digest") != signature["record_digest"]:
        note("/record_digest", "According to the audit chain, a different record was signed.")
    if entry["actor_name"] != signature["printed_name"]:
        note("/printed_name", "According to the audit chain, a different person signed.")
