"""The evidence of a deployment as a PDF, from a pack (PDF/A-2a, PDF/UA-1).

This module builds the text, and `document.typ` the layout. User content is passed as values, so that Typst
never interprets it as markup.
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

LAYOUT = Path(__file__).with_name("document.typ")
STANDARDS: Any = ["a-2a", "ua-1"]
# The pack holds all entries; the document lists the newest ones with these actions.
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
    """Return the document as a PDF.

    Args:
        pack: the parsed JSON of an evidence pack.
        digest: the SHA-256 of the pack's file; printed on every page.
    """
    contents = pack["contents"]
    data = showable(document_data(contents, digest))
    pdf = typst.compile(
        {"main.typ": LAYOUT.read_bytes(), "data.json": json.dumps(data).encode()},
        format="pdf",
        pdf_standards=STANDARDS,
        **fonts(),
        timestamp=datetime.fromisoformat(contents["about"]["exported_at"]),
    )
    return bytes(pdf)


def document_data(contents: Json, digest: str) -> Json:
    """Return all text of the document for `document.typ`, section by section."""
    about, deployment, target = contents["about"], contents["deployment"], contents["target"]
    runs = pack_reader.runs_by_number(contents)
    titles = {gate["key"]: gate["title"] for gate in contents["gates"]}
    return {
        "title": about["title"],
        "author": about["software"],
        "subject": f"Evidence of deployment {about['deployment']} on target {about['target']}",
        "running": f"{about['title']} · target {about['target']}",
        "number": str(about["deployment"]),
        "digest": digest,
        "final": about["final"],
        "state_line": f"{deployment['state_label']}, {format_time(about['exported_at'])}",
        "status": _status(contents),
        "facts": _cover(contents),
        "gates": [_gate(gate, contents) for gate in contents["gates"]],
        "team": [
            [member["name"], member["role_label"], member["email"], member["phone"] or "—"]
            for member in contents["team"]
        ],
        "rollback_plan": deployment["rollback_plan"],
        "notes": deployment["notes"],
        "transitions": [
            [format_time(change["at"]), change["to_label"], change["by"], change["reason"] or "—"]
            for change in contents["transitions"]
        ],
        "checklist_line": _counts(contents["checklist"]),
        "checklist": _checklist(contents["checklist"], runs),
        "runs": [_run(run) for run in contents["runs"]],
        "backups": [_backup(backup) for backup in contents["backups"]],
        "differences": [
            {
                "title": f"{titles[one['gate']]}: signature of {one['printed_name']}",
                "changes": [
                    [change["path"], _shortened(change["before"]), _shortened(change["after"])]
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


def _status(contents: Json) -> str:
    label = contents["deployment"]["state_label"]
    if contents["about"]["final"]:
        return f"{label}. This evidence is final."
    return f"{label}. This evidence is not final: it shows the deployment at the time of the export."


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
        ["Checklist SHA-256", contents["template"]["sha256"], "mono"],
        ["Exported", f"{format_time(about['exported_at'])} by {about['exported_by']}"],
        ["Software", about["software"]],
    ]


def _migrations(contents: Json) -> Json:
    """Return the migrations from the record of the last gate that has any."""
    newest: Json = {}
    for gate in contents["gates"]:
        newest = contents["records"][gate["record_digest"]].get("migrations") or newest
    rows = [
        [
            migration["name"],
            "applied" if migration["applied"] else "pending",
            migration["sha256"] or "—",
        ]
        for migration in newest.get("migrations", ())
    ]
    line = (
        f"State according to run {newest['run']}, with {newest['tool']}."
        if newest
        else "No run checked migrations."
    )
    return {"migrations": rows, "migrations_line": line}


def _audit(contents: Json) -> Json:
    entries = list(pack_reader.entries(contents))
    decisive = [entry for entry in entries if entry["action"].startswith(DECISIVE_ACTIONS)]
    shown = decisive[-MAX_AUDIT_ENTRIES:]
    limit = f" The newest {len(shown)} of {len(decisive)} are shown." if len(shown) < len(decisive) else ""
    return {
        "audit_line": (
            f"The evidence pack contains all {pluralize(len(entries), 'audit entry')} of this "
            "deployment. This extract lists changes of the deployment, signatures, backups, waivers, "
            f"decisions on lost runs, and failed runs and items.{limit}"
        ),
        "audit": [
            [
                str(entry["sequence"]),
                format_time(entry["at"]).removesuffix(" UTC"),
                entry["actor_name"],
                entry["action"],
                _shortened(
                    "; ".join(f"{label}: {text}" for label, text in audit_facts(entry["data"])) or "—"
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
            "Copy the evidence pack (the file whose SHA-256 is printed at the bottom of every page) to any "
            "machine with deployctl, and run these commands. No database is needed. Compare the fingerprint "
            "with the one on the audit page of the installation."
        ),
        "commands": ["sha256sum PACK.json", f"deployctl verify PACK.json --fingerprint \\\n  {key}"],
        "verification": [
            ["Pack SHA-256", digest, "mono"],
            ["Key fingerprint", key, "mono"],
            ["Signed head", f"entry {head['sequence']}, signed {format_time(head['at'])}"],
            ["Hash of the head", head["hash"], "mono"],
        ],
        "characters_line": (
            "Characters that are missing from the fonts of this document, and invisible characters that "
            "could mislead, are printed as their code, such as [U+1F600]. The pack contains the exact text."
        ),
    }


def _gate(gate: Json, contents: Json) -> Json:
    """Return a gate with its slots and all their signatures, including stale and revoked ones."""
    lines = []
    for slot in gate["slots"]:
        signatures = [
            _signature(signature)
            for signature in contents["signatures"]
            if signature["gate"] == gate["key"] and signature["slot"] == slot["position"]
        ]
        quorum = f" ({slot['quorum']} people)" if slot["quorum"] > 1 else ""
        lines.append({"label": slot["label"] + quorum, "signatures": signatures})
    signed = gate["state"] == "signed"
    return {
        "title": gate["title"],
        "meaning_line": f"Meaning of a signature in this gate: “{gate['meaning']}”",
        "state_line": "Fully signed." if signed else "Not fully signed.",
        "slots": lines,
    }


def _signature(signature: Json) -> Json:
    """Return printed name, time, meaning and the other facts, as 21 CFR 11.50 requires."""
    return {
        "name": pack_reader.signer(signature),
        "status": "Revoked" if signature["revoked"] else "Stale" if signature["stale"] else "Valid",
        "ended": _end_of(signature),
        "facts": [
            ["Signed as", signature["role_label"]],
            ["Meaning", f"“{signature['meaning']}”"],
            ["Time", format_time(signature["signed_at"], signature["timezone"])],
            ["Time in UTC", format_time(signature["signed_at"])],
            ["Method", signature["method"]],
            ["Second factor set up", format_time(signature["factor_since"])],
            ["Record SHA-256", signature["record_digest"], "mono"],
            ["Audit entry", str(signature["audit_sequence"])],
        ],
    }


def _end_of(signature: Json) -> str:
    """Return why a signature is no longer valid; empty if it is valid."""
    stale, revoked = signature["stale"], signature["revoked"]
    if revoked:
        return f"Revoked by {revoked['by']}, {format_time(revoked['at'])}: {revoked['reason']}"
    if stale:
        return (
            f"The record changed after this signature: {stale['change']} "
            f"({stale['by']}, {format_time(stale['at'])})"
        )
    return ""


def _counts(items: list[Json]) -> str:
    """Return the number of items in each state as a sentence."""
    parents = {item["parent"] for item in items}
    leaves = [item for item in items if item["key"] not in parents]
    states = [item["state"] for item in leaves]
    return (
        f"{pluralize(len(leaves), 'item')}: {states.count('done')} done, "
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
        "line": f"Requested by {run['requested_by']}, {format_time(run['requested_at'])}{started}{ended}",
        "summary": run["summary"],
        "steps": [*_decision(run), *(f"{step['name']}: {step['state']}" for step in run["steps"])],
    }


def _decision(run: Json) -> list[str]:
    """Return the decision on a run whose worker was lost, as a list of at most one line."""
    decision = run["decision"]
    if not decision:
        return []
    return [
        f"Decided by {decision['by']}, {format_time(decision['at'])}: {decision['outcome']}. "
        f"{decision['note']}"
    ]


def _backup(backup: Json) -> Json:
    levels = [
        f"{level['level']} {format_time(level['at'])} by run {level['run']}"
        for level in backup["trust_levels"]
    ]
    copies = [f"{copy['store']}, verified {format_time(copy['read_back_at'])}" for copy in backup["copies"]]
    return {
        "name": backup["name"],
        "trust": backup["trust"].capitalize(),
        "facts": [
            ["Snapshot", format_time(backup["snapshot_at"])],
            ["Created by", f"run {backup['run']}, PostgreSQL {backup['server_version']}"],
            ["Size", f"{pluralize(backup['size_bytes'], 'byte')}, {pluralize(backup['rows'], 'row')}"],
            ["Trust levels", "; ".join(levels)],
            ["Copies", "; ".join(copies) or "none"],
            ["Manifest SHA-256", backup["manifest_sha256"], "mono"],
            *([["Expired", format_time(backup["expired_at"])]] if backup["expired_at"] else []),
        ],
    }


def _shortened(text: str) -> str:
    """Return a text cut to a length that fits the tables; the pack contains all of it."""
    return text if len(text) <= MAX_FACT_LENGTH else f"{text[:MAX_FACT_LENGTH]} … (full text in the pack)"
