"""The template's Markdown with ticked boxes, waivers, proofs and signatures, filled in from a pack."""

from __future__ import annotations

from checklists.markdown import parse
from checklists.markdown.fill_in import FilledSlot, ItemMark, fill
from checklists.markdown.model import ParsedTemplate
from signoff.evidence import pack_reader
from signoff.evidence.pack_reader import Json


def render(pack: Json, digest: str) -> str:
    """Return the template's source, filled in. The result is a valid template.

    Args:
        pack: the parsed JSON of an evidence pack.
        digest: the SHA-256 of the pack's file; printed in the checklist.
    """
    contents = pack["contents"]
    template = _template(contents)
    runs = pack_reader.runs_by_number(contents)
    items = {item["key"]: item for item in contents["checklist"]}
    marks = {
        parsed.line: ItemMark(
            ticked=items[parsed.key]["state"] == "done",
            notes=tuple(pack_reader.item_lines(items[parsed.key], runs)),
        )
        for parsed in template.walk_items()
        if parsed.key in items
    }
    return fill(
        contents["template"]["source"], marks, _signatures(template, contents), _preface(contents, digest)
    )


def _template(contents: Json) -> ParsedTemplate:
    """Parse the template as it was parsed when the deployment was created.

    The known operations and checks are taken from the items, because this version of deployctl may lack some.
    """
    items = contents["checklist"]
    return parse(
        contents["template"]["source"],
        operations={item["operation"] for item in items if item["operation"]},
        checks={item["check"] for item in items if item["check"]},
    )


def _signatures(template: ParsedTemplate, contents: Json) -> dict[int, FilledSlot]:
    """Return the valid signatures for each signature line, joined if there are several."""
    found = {}
    for gate in template.gates:
        for position, slot in enumerate(gate.slots):
            signatures = [
                one
                for one in pack_reader.valid_signatures(contents)
                if one["gate"] == gate.key.value and one["slot"] == position
            ]
            if signatures:
                found[slot.line] = FilledSlot(
                    name="; ".join(map(pack_reader.signer, signatures)),
                    date=", ".join(
                        pack_reader.format_time(one["signed_at"], one["timezone"]) for one in signatures
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
