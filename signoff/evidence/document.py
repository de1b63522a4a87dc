"""The evidence of a deployment as a PDF, from a pack (PDF/A-2a, PDF/UA-1).

This module builds the text, `document.typ` the layout. Text that people wrote is passed as values, so
Typst never reads it as markup.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

from deployctl.audit.descriptions import facts as audit_facts
from deployctl.audit.signed_statements import fingerprint
from deployctl.text import pluralize
from signoff.evidence import pack_reader
from signoff.evidence.glyphs import fonts, showable
from signoff.evidence.pack_reader import Json, format_time

FORM = Path(__file__).with_name("document.typ")
STANDARDS: Any = ["a-2a", "ua-1"]
# The pack holds every entry; the document lists the newest of those that decide something.
MAX_AUDIT_ENTRIES = 300
DECISIVE_ACTIONS = (
    "deployment.",
    "gate.",
    "signature.",
    "backup.",
    "run.decided",
    "run.failed",
    "item.waived",
    "item.failed",
)
MAX_FACT_LENGTH = 400  # characters
MARKS = {"done": "☑", "waived": "–", "failed": "✗"}


def render(pack: Json, digest: str) -> bytes:
    """Return the document as PDF.

    Args:
        pack: a pack as `signoff.models.EvidencePack` keeps it.
        digest: SHA-256 of the pack's file; printed on every page.
    """
    contents = pack["contents"]
    data = showable(document_data(contents, digest))
    made = typst.compile(
        {"main.typ": FORM.read_bytes(), "data.json": json.dumps(data).encode()},
        format="pdf",
        pdf_standards=STANDARDS,
        **fonts(),
        timestamp=datetime.fromisoformat(contents["about"]["exported_at"]),
    )
    return bytes(made)


def document_data(contents: Json, digest: str) -> Json:
    """Return all text of the document for `document.typ`, section by section."""
    about, deployment, target = contents["about"], contents["deployment"], contents["target"]
    runs = pack_reader.runs_by_number(contents)
    return {
        "title": about["title"],
        "author": about["software"],
        "subject": f"Evidence of deployment {about['deployment']} on target {about['target']}",
        "running": f"{about['title']} · target {about['target']}",
        "number": str(about["deployment"]),
        "digest": digest,
        "final": about["final"],
        "state_line": f"{deployment['state_label']}, {format_time(about['exported_at'])}",
        "standing": _standing(contents),
        "facts": _cover(contents),
        "gates": [_gate(gate, contents) for gate in contents["gates"]],
        "team": [
            [one["name"], one["role_label"], one["email"], one["phone"] or "—"] for one in contents["team"]
        ],
        "rollback_plan": deployment["rollback_plan"],
        "notes": deployment["notes"],
        "moves": [
            [format_time(move["at"]), move["to_label"], move["by"], move["reason"] or "—"]
            for move in contents["moves"]
        ],
        "checklist_line": _counts(contents["checklist"]),
        "checklist": _checklist(contents["checklist"], runs),
        "runs": [_run(run) for run in contents["runs"]],
        "backups": [_backup(backup) for backup in contents["backups"]],
        "differences": [
            {
                "title": f"{one['printed_name']}’s signature at the gate “{one['gate']}”",
                "changes": [
                    [change["place"], _shortened(change["before"]), _shortened(change["after"])]
                    for change in one["changes"]
                ],
            }
            for one in contents["differences"]
        ],
        **_migrations(contents),
        **_audit(contents),
        **_verification(contents, digest),
        "target": target["name"],
    }


def _standing(contents: Json) -> str:
    label = contents["deployment"]["state_label"]
    if contents["about"]["final"]:
        return f"{label}. This evidence is final."
    return f"{label}. This evidence is not final: it shows where the deployment stood when it was exported."


def _cover(contents: Json) -> list[list[str]]:
    about, deployment, target = contents["about"], contents["deployment"], contents["target"]
    window = deployment["window"]
    identity = [
        ["System identifier", f"{target['system_identifier']}, database {target['database_oid']}", "mono"]
    ]
    return [
        ["Deployment", str(about["deployment"])],
        ["Target", f"{target['name']} ({target['environment']})"],
        *(identity if target["system_identifier"] else []),
        ["Window", f"{format_time(window['start'])} to {format_time(window['end'])}"],
        ["State", deployment["state_label"]],
        ["Planned by", f"{deployment['created_by']}, {format_time(deployment['created_at'])}"],
        ["Checklist", f"{contents['template']['name']}, version {contents['template']['version']}"],
        ["Its SHA-256", contents["template"]["sha256"], "mono"],
        ["Exported", f"{format_time(about['exported_at'])} by {about['exported_by']}"],
        ["Software", about["software"]],
    ]


def _migrations(contents: Json) -> Json:
    """Return the migrations from the record of the last gate that has any."""
    newest: Json = {}
    for gate in contents["gates"]:
        newest = contents["records"][gate["record_digest"]].get("migrations") or newest
    rows = [
        [one["name"], "applied" if one["applied"] else "pending", one["sha256"] or "—"]
        for one in newest.get("migrations", ())
    ]
    line = (
        f"As run {newest['run']} found them, by {newest['tool']}."
        if newest
        else "No run looked at migrations."
    )
    return {"migrations": rows, "migrations_line": line}


def _audit(contents: Json) -> Json:
    entries = list(pack_reader.entries(contents))
    decisive = [entry for entry in entries if entry["action"].startswith(DECISIVE_ACTIONS)]
    shown = decisive[-MAX_AUDIT_ENTRIES:]
    left_out = f"; the {len(shown)} newest of {len(decisive)} are shown" if len(shown) < len(decisive) else ""
    return {
        "audit_line": (
            f"The evidence pack holds all {len(entries)} audit entries of this deployment. Below are those "
            f"that decided something{left_out}."
        ),
        "audit": [
            [
                str(entry["sequence"]),
                format_time(entry["at"]).removesuffix(" UTC"),
                entry["actor_name"],
                entry["action"],
                _shortened(
                    "; ".join(f"{name}: {words}" for name, words in audit_facts(entry["data"])) or "—"
                ),
            ]
            for entry in shown
        ],
    }


def _verification(contents: Json, digest: str) -> Json:
    head = contents["chain"]["head"]
    key = fingerprint(head["public_key"])
    return {
        "verify_line": (
            "Take the evidence pack (the file whose SHA-256 is at the foot of every page) to any machine "
            "that has deployctl; no database is needed. Compare the fingerprint with the one that the "
            "installation shows on its audit page."
        ),
        "commands": ["sha256sum PACK.json", f"deployctl verify PACK.json --fingerprint \\\n  {key}"],
        "verification": [
            ["Pack SHA-256", digest, "mono"],
            ["Key fingerprint", key, "mono"],
            ["Head of the chain", f"entry {head['sequence']}, signed {format_time(head['at'])}"],
            ["Its hash", head["hash"], "mono"],
        ],
        "characters_line": (
            "Characters that the fonts of this document lack, and invisible ones that could mislead, are "
            "printed as their code, such as [U+1F600]. The pack holds the exact text."
        ),
    }


def _gate(gate: Json, contents: Json) -> Json:
    """Return a gate with its slots and every signature given there, stale ones included."""
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
    """Return printed name, time and meaning, as 21 CFR 11.50 requires on screen and in print."""
    return {
        "name": pack_reader.signer(one),
        "ended": _how_it_ended(one),
        "facts": [
            ["Signed as", one["role_label"]],
            ["Meaning", f"“{one['meaning']}”"],
            ["Time", format_time(one["signed_at"], one["timezone"])],
            ["Time in UTC", format_time(one["signed_at"])],
            ["Method", one["method"]],
            ["Factor set up", format_time(one["factor_since"])],
            ["Record SHA-256", one["record_digest"], "mono"],
            ["Audit entry", str(one["audit_sequence"])],
        ],
    }


def _how_it_ended(one: Json) -> str:
    """Return why a signature is no longer valid; empty if it is."""
    stale, withdrawn = one["stale"], one["withdrawn"]
    if withdrawn:
        return f"Withdrawn by {withdrawn['by']}, {format_time(withdrawn['at'])}: {withdrawn['reason']}"
    return (
        f"What it covers changed: {stale['change']} ({stale['by']}, {format_time(stale['at'])})"
        if stale
        else ""
    )


def _counts(items: list[Json]) -> str:
    """Return the number of items in each state as a sentence."""
    parents = {item["parent"] for item in items}
    leaves = [item for item in items if item["key"] not in parents]
    states = [item["state"] for item in leaves]
    return (
        f"{pluralize(len(leaves), 'item')} to keep: {states.count('done')} done, "
        f"{states.count('waived')} waived, {states.count('failed')} failed, {states.count('open')} open."
    )


def _checklist(items: list[Json], runs: dict[int, Json]) -> list[Json]:
    """Return the items under their headings, with the depth of sub-items."""
    depth: dict[str, int] = {"": -1}
    parts, phase_before = [], None
    for phase, section, group in pack_reader.by_heading(items):
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
                    "lines": pack_reader.item_lines(item, runs),
                }
            )
        parts.append({"phase": phase, "section": section, "new_phase": phase != phase_before, "items": rows})
        phase_before = phase
    return parts


def _run(run: Json) -> Json:
    ended = f", ended {format_time(run['finished_at'])}" if run["finished_at"] else ""
    started = f", started {format_time(run['started_at'])}" if run["started_at"] else ", never started"
    return {
        "title": f"Run {run['number']}: {run['title']}",
        "state": run["state_label"],
        "good": run["state"] == "succeeded",
        "line": f"Asked for by {run['requested_by']}, {format_time(run['requested_at'])}{started}{ended}",
        "summary": run["summary"],
        "steps": [*_decision(run), *(f"{step['name']}: {step['state']}" for step in run["steps"])],
    }


def _decision(run: Json) -> list[str]:
    """Return the decision about a run whose worker was lost."""
    one = run["decision"]
    if not one:
        return []
    return [f"Decided by {one['by']}, {format_time(one['at'])}: {one['outcome']}. {one['note']}"]


def _backup(backup: Json) -> Json:
    levels = [
        f"{one['level']} {format_time(one['at'])} by run {one['run']}" for one in backup["trust_levels"]
    ]
    copies = [f"{one['store']}, read back {format_time(one['read_back_at'])}" for one in backup["copies"]]
    return {
        "name": backup["name"],
        "trust": backup["trust"].capitalize(),
        "facts": [
            ["State of", format_time(backup["snapshot_at"])],
            ["Made by", f"run {backup['run']}, PostgreSQL {backup['server_version']}"],
            ["Size", f"{pluralize(backup['size_bytes'], 'byte')}, {pluralize(backup['rows'], 'row')}"],
            ["Proven", "; ".join(levels)],
            ["Copies", "; ".join(copies) or "none"],
            ["Manifest SHA-256", backup["manifest_sha256"], "mono"],
            *([["Removed", format_time(backup["expired_at"])]] if backup["expired_at"] else []),
        ],
    }


def _shortened(text: str) -> str:
    """Return a text cut to the width of a table; the pack holds all of it."""
    return text if len(text) <= MAX_FACT_LENGTH else f"{text[:MAX_FACT_LENGTH]} … (in full in the pack)"
