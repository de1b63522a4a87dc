"""Verify audit entries that were exported as JSON lines (`deployctl audit export`, or the audit page)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Any

import rfc8785

from deployctl.audit import signed_statements
from deployctl.audit.chain import content_digest, link
from signoff.verifier import json_positions, pack
from signoff.verifier.findings import Finding

SCHEMA = "deployctl.audit-export/1"


def verify(lines: Iterable[bytes], trusted: Collection[str] = ()) -> Finding:
    """Verify an export. Only one line is in memory at a time.

    Args:
        lines: the lines with their line feeds.
        trusted: see `pack.verify`.
    """
    finding = Finding("audit export")
    digest, entries, previous = hashlib.sha256(), 0, (0, "")
    closing: dict[str, Any] | None = None
    for number, line in enumerate(lines, 1):
        location = f"line {number}"
        if closing is not None:
            finding.add(location, "There is content after the closing line.")
            break
        value = _read(line, location, finding)
        if isinstance(value, dict) and value.get("schema") == SCHEMA:
            closing = value
            continue
        digest.update(line)
        if value is None:
            continue
        with finding.inside(location):
            previous = _entry(value, previous, location, finding)
            entries += 1
    if closing is None:
        finding.add("the end", "The closing line is missing: the export is incomplete.")
        return finding
    _closing(closing, entries, digest.hexdigest(), finding)
    pack.check_key(closing, trusted, finding, "the last line")
    finding.facts = {"entries": entries, "filters": closing.get("filters"), "last": previous[0]}
    return finding


def _read(line: bytes, location: str, finding: Finding) -> Any:
    try:
        value = json_positions.load(line)
        is_canonical = rfc8785.dumps(value) + b"\n" == line
    except ValueError as error:
        finding.add(location, f"{error}.")
        return None
    except RecursionError:
        finding.add(location, "This is nested too deeply.")
        return None
    if not is_canonical:
        finding.add(location, "This line is not written as exported.")
        return None
    return value


def _entry(value: Any, previous: tuple[int, str], location: str, finding: Finding) -> tuple[int, str]:
    sequence = value["sequence"]
    if sequence <= previous[0]:
        finding.add(location, f"Entry {sequence} follows entry {previous[0]}, which is out of order.")
    if link(value["previous_hash"], content_digest(value)) != value["hash"]:
        finding.add(location, f"Entry {sequence} was changed: its content does not match its hash.")
    # A filtered export lacks entries, so only neighbors can be compared.
    elif sequence == previous[0] + 1 and previous[1] and value["previous_hash"] != previous[1]:
        finding.add(
            location, f"Entry {sequence} does not link to entry {previous[0]}: one of them was replaced."
        )
    return int(sequence), str(value["hash"])


def _closing(closing: dict[str, Any], entries: int, digest: str, finding: Finding) -> None:
    if not signed_statements.has_valid_signature(closing):
        finding.add("the last line", "The signature is invalid.")
    if closing.get("entries") != entries:
        finding.add(
            "the last line",
            f"The number of entries is {entries}, but this line says {closing.get('entries')}.",
        )
    elif closing.get("sha256") != digest and finding.ok:
        finding.add("the last line", "The digest does not match the lines before it.")
