"""Signatures, items, runs and backups as the document shows them."""

from __future__ import annotations

from deployctl.text import pluralize
from signoff.evidence import reading
from signoff.evidence.reading import Json, when

LONGEST_FACT = 400  # characters
MARKS = {"done": "☑", "waived": "–", "failed": "✗"}


def gate(gate: Json, contents: Json) -> Json:
    """A gate with its places and every signature that was ever given there."""
    lines = []
    for slot in gate["slots"]:
        given = [
            one
            for one in contents["signatures"]
            if one["gate"] == gate["key"] and one["slot"] == slot["position"]
        ]
        asks = f" ({slot['quorum']} people)" if slot["quorum"] > 1 else ""
        lines.append({"label": slot["label"] + asks, "signatures": [_signature(one) for one in given]})
    signed = gate["state"] == "signed"
    return {
        "title": gate["title"],
        "meaning_line": f"Meaning of a signature here: “{gate['meaning']}”",
        "state_line": "Fully signed." if signed else "Not fully signed.",
        "slots": lines,
    }


def _signature(one: Json) -> Json:
    """What 21 CFR 11.50 asks for on screen and print: printed name, time, meaning."""
    return {
        "name": reading.signer(one),
        "ended": _how_it_ended(one),
        "facts": [
            ["Signed as", one["role_label"]],
            ["Meaning", f"“{one['meaning']}”"],
            ["Time", when(one["signed_at"], one["timezone"])],
            ["Time in UTC", when(one["signed_at"])],
            ["Method", one["method"]],
            ["Factor set up", when(one["factor_since"])],
            ["Record SHA-256", one["record_digest"], "mono"],
            ["Audit entry", str(one["audit_sequence"])],
        ],
    }


def _how_it_ended(one: Json) -> str:
    """Why a signature no longer stands; empty while it does."""
    stale, withdrawn = one["stale"], one["withdrawn"]
    if withdrawn:
        return f"Withdrawn by {withdrawn['by']}, {when(withdrawn['at'])}: {withdrawn['reason']}"
    return f"What it covers changed: {stale['change']} ({stale['by']}, {when(stale['at'])})" if stale else ""


def counts(items: list[Json]) -> str:
    """How many items there are in each state, in a sentence."""
    parents = {item["parent"] for item in items}
    leaves = [item for item in items if item["key"] not in parents]
    states = [item["state"] for item in leaves]
    return (
        f"{pluralize(len(leaves), 'item')} to keep: {states.count('done')} done, "
        f"{states.count('waived')} waived, {states.count('failed')} failed, {states.count('open')} open."
    )


def checklist(items: list[Json], runs: dict[int, Json]) -> list[Json]:
    """The items under their headings, sub-items deeper."""
    depth: dict[str, int] = {"": -1}
    parts, phase_before = [], None
    for phase, section, group in reading.by_heading(items):
        rows = []
        for item in group:
            depth[item["key"]] = depth.get(item["parent"], -1) + 1
            rows.append(
                {
                    "text": item["plain_text"],
                    "state": item["state"],
                    "state_label": item["state_label"],
                    "mark": MARKS.get(item["state"], "☐"),
                    "depth": depth[item["key"]],
                    "lines": reading.item_words(item, runs),
                }
            )
        parts.append({"phase": phase, "section": section, "new_phase": phase != phase_before, "items": rows})
        phase_before = phase
    return parts


def run(run: Json) -> Json:
    """A run with its outcome."""
    ended = f", ended {when(run['finished_at'])}" if run["finished_at"] else ""
    started = f", started {when(run['started_at'])}" if run["started_at"] else ", never started"
    return {
        "title": f"Run {run['number']}: {run['title']}",
        "state": run["state_label"],
        "good": run["state"] == "succeeded",
        "line": f"Asked for by {run['requested_by']}, {when(run['requested_at'])}{started}{ended}",
        "summary": run["summary"],
        "steps": [*_decision(run), *(f"{step['name']}: {step['state']}" for step in run["steps"])],
    }


def _decision(run: Json) -> list[str]:
    """What somebody decided became of a run whose worker was lost."""
    one = run["decision"]
    if not one:
        return []
    return [f"Decided by {one['by']}, {when(one['at'])}: {one['outcome']}. {one['note']}"]


def backup(backup: Json) -> Json:
    """A backup with how far it is to be trusted."""
    levels = [f"{one['level']} {when(one['at'])} by run {one['run']}" for one in backup["trust_levels"]]
    copies = [f"{one['store']}, read back {when(one['read_back_at'])}" for one in backup["copies"]]
    return {
        "name": backup["name"],
        "trust": backup["trust"].capitalize(),
        "facts": [
            ["State of", when(backup["snapshot_at"])],
            ["Made by", f"run {backup['run']}, PostgreSQL {backup['server_version']}"],
            ["Size", f"{pluralize(backup['size_bytes'], 'byte')}, {pluralize(backup['rows'], 'row')}"],
            ["Proven", "; ".join(levels)],
            ["Copies", "; ".join(copies) or "none"],
            ["Manifest SHA-256", backup["manifest_sha256"], "mono"],
            *([["Removed", when(backup["expired_at"])]] if backup["expired_at"] else []),
        ],
    }


def shortened(text: str) -> str:
    """A text that fits into a table; the pack has all of it."""
    return text if len(text) <= LONGEST_FACT else f"{text[:LONGEST_FACT]} … (in full in the pack)"
