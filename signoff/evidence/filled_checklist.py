"""The user's own checklist, filled in from a pack: boxes, waivers, names and dates on its signature lines."""

from __future__ import annotations

from checklists.markdown import parse
from checklists.markdown.fill_in import FilledSlot, ItemMark, fill
from checklists.markdown.model import ParsedTemplate
from signoff.evidence import pack_reader
from signoff.evidence.pack_reader import Json


def render(pack: Json, digest: str) -> str:
    """The template's source with everything that became of it; still a valid template.

    Args:
        pack: a pack as `signoff.models.EvidencePack` keeps it.
        digest: SHA-256 of the pack's file, which the checklist names.
    """
    contents = pack["contents"]
    template = _template(contents)
    runs = pack_reader.runs_by_number(contents)
    kept = {item["key"]: item for item in contents["checklist"]}
    marks = {
        parsed.line: ItemMark(
            ticked=kept[parsed.key]["state"] == "done",
            notes=tuple(pack_reader.item_lines(kept[parsed.key], runs)),
        )
        for parsed in template.walk_items()
        if parsed.key in kept
    }
    return fill(
        contents["template"]["source"], marks, _signatures(template, contents), _preface(contents, digest)
    )


def _template(contents: Json) -> ParsedTemplate:
    """The template as it was read when the deployment was made.

    Its operations and checks are those that the items name: this deployctl may no longer have them.
    """
    items = contents["checklist"]
    return parse(
        contents["template"]["source"],
        operations={item["operation"] for item in items if item["operation"]},
        checks={item["check"] for item in items if item["check"]},
    )


def _signatures(template: ParsedTemplate, contents: Json) -> dict[int, FilledSlot]:
    """What stands on each signature line: the signatures in force, several of them one after the other."""
    found = {}
    for gate in template.gates:
        for position, slot in enumerate(gate.slots):
            given = [
                one
                for one in pack_reader.in_force(contents)
                if one["gate"] == gate.key.value and one["slot"] == position
            ]
            if given:
                found[slot.line] = FilledSlot(
                    name="; ".join(map(pack_reader.signer, given)),
                    date=", ".join(
                        pack_reader.format_time(one["signed_at"], one["timezone"]) for one in given
                    ),
                )
    return found


def _preface(contents: Json, digest: str) -> list[str]:
    about, deployment = contents["about"], contents["deployment"]
    window, exported_at = deployment["window"], pack_reader.format_time(about["exported_at"])
    return [
        f"Deployment {about['deployment']}: {about['title']}, on target {about['target']}"
        f" ({contents['target']['environment']})",
        f"State: {deployment['state_label']}; window {pack_reader.format_time(window['start'])}"
        f" to {pack_reader.format_time(window['end'])}",
        f"Filled in by {about['software']} for {about['exported_by']}, {exported_at}",
        f"Evidence pack SHA-256: {digest}",
    ]
