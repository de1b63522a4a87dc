"""What stands in the document, section by section, as words for `document.typ`."""

from __future__ import annotations

from deployctl.audit.descriptions import facts as audit_facts
from deployctl.audit.signed_statements import fingerprint
from signoff.evidence import document_rows as rows
from signoff.evidence import reading
from signoff.evidence.reading import Json, when

# The pack holds every entry; people read those that decide something, the newest of them.
LONGEST_EXTRACT = 300
TELLING = (
    "deployment.",
    "gate.",
    "signature.",
    "backup.",
    "run.decided",
    "run.failed",
    "item.waived",
    "item.failed",
)


def words(contents: Json, digest: str) -> Json:
    """Everything that the document says of a pack's contents."""
    about, deployment, target = contents["about"], contents["deployment"], contents["target"]
    runs = reading.runs_by_number(contents)
    return {
        "title": about["title"],
        "author": about["software"],
        "subject": f"Evidence of deployment {about['deployment']} on target {about['target']}",
        "running": f"{about['title']} · target {about['target']}",
        "number": str(about["deployment"]),
        "digest": digest,
        "final": about["final"],
        "state_line": f"{deployment['state_label']}, {when(about['exported_at'])}",
        "standing": _standing(contents),
        "facts": _cover(contents),
        "gates": [rows.gate(gate, contents) for gate in contents["gates"]],
        "team": [
            [one["name"], one["role_label"], one["email"], one["phone"] or "—"] for one in contents["team"]
        ],
        "rollback_plan": deployment["rollback_plan"],
        "notes": deployment["notes"],
        "moves": [
            [when(move["at"]), move["to_label"], move["by"], move["reason"] or "—"]
            for move in contents["moves"]
        ],
        "checklist_line": rows.counts(contents["checklist"]),
        "checklist": rows.checklist(contents["checklist"], runs),
        "runs": [rows.run(run) for run in contents["runs"]],
        "backups": [rows.backup(backup) for backup in contents["backups"]],
        "differences": [
            {
                "title": f"{one['printed_name']}’s signature at the gate “{one['gate']}”",
                "changes": [
                    [change["place"], rows.shortened(change["before"]), rows.shortened(change["after"])]
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
        ["Window", f"{when(window['start'])} to {when(window['end'])}"],
        ["State", deployment["state_label"]],
        ["Planned by", f"{deployment['created_by']}, {when(deployment['created_at'])}"],
        ["Checklist", f"{contents['template']['name']}, version {contents['template']['version']}"],
        ["Its SHA-256", contents["template"]["sha256"], "mono"],
        ["Exported", f"{when(about['exported_at'])} by {about['exported_by']}"],
        ["Software", about["software"]],
    ]


def _migrations(contents: Json) -> Json:
    """What the last gate that covers any says of the database's migrations."""
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
    entries = list(reading.entries(contents))
    telling = [entry for entry in entries if entry["action"].startswith(TELLING)]
    shown = telling[-LONGEST_EXTRACT:]
    left_out = f"; the {len(shown)} newest of {len(telling)} are shown" if len(shown) < len(telling) else ""
    return {
        "audit_line": (
            f"The evidence pack holds all {len(entries)} audit entries of this deployment. Below are those "
            f"that decided something{left_out}."
        ),
        "audit": [
            [
                str(entry["sequence"]),
                when(entry["at"]).removesuffix(" UTC"),
                entry["actor_name"],
                entry["action"],
                rows.shortened(
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
            ["Head of the chain", f"entry {head['sequence']}, signed {when(head['at'])}"],
            ["Its hash", head["hash"], "mono"],
        ],
        "characters_line": (
            "Characters that the fonts of this document lack, and invisible ones that could mislead, are "
            "printed as their code, such as [U+1F600]. The pack holds the exact text."
        ),
    }
