"""The PDF: made from whatever people wrote, archivable and accessible."""

from __future__ import annotations

import json
from typing import Any

from signoff.evidence import document, glyphs
from signoff.evidence.document import document_data
from signoff.models import EvidencePack

HOSTILE = [
    '#eval("1") ] *b* _x_ $1$ `` // /* \\ @ref <label> = heading',
    "😀🚀 漢字 שלום עולם العربية",
    "\u202eright to left\u0007\u2028line\x00",
    "word " * 1000,
    "x" * 5000,
    "\n\n\n",
    "",
]


def everywhere(value: Any, text: str) -> Any:
    """The same value with a text added to whatever people may have written."""
    if isinstance(value, dict):
        return {name: everywhere(inner, text) for name, inner in value.items()}
    if isinstance(value, list):
        return [everywhere(inner, text) for inner in value]
    return f"{value} {text}" if isinstance(value, str) and " " in value else value


def test_whatever_people_wrote_becomes_a_document(pack: EvidencePack) -> None:
    for text in HOSTILE:
        said = json.loads(pack.content())
        contents = said["contents"]
        for name in ("deployment", "team", "moves", "checklist", "signatures", "gates"):
            contents[name] = everywhere(contents[name], text)
        contents["about"]["title"] = f"Title {text}"
        contents["deployment"]["rollback_plan"] = text
        assert document.render(said, pack.digest).startswith(b"%PDF-"), text


def test_it_is_pdf_a_and_tagged(pack: EvidencePack) -> None:
    made = document.render(json.loads(pack.content()), pack.digest)
    assert b"<pdfaid:part>2</pdfaid:part>" in made
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in made
    assert b"<pdfuaid:part>1</pdfuaid:part>" in made
    assert made == document.render(json.loads(pack.content()), pack.digest)


def test_it_says_what_21_cfr_11_50_asks_for(pack: EvidencePack) -> None:
    said = document_data(json.loads(pack.content())["contents"], pack.digest)
    assert said["digest"] == pack.digest
    [first, second] = [slot["signatures"][0] for slot in said["gates"][0]["slots"]]
    assert (first["name"], second["name"]) == ("Dana Baker", "Dev Opsworth")
    facts = dict(fact[:2] for fact in first["facts"])
    assert facts["Meaning"] == "“I approve this deployment for production.”"
    assert facts["Time"].endswith("UTC")
    assert len(facts["Record SHA-256"]) == 64
    assert "not final" in said["standing"]
    waived = next(item for part in said["checklist"] for item in part["items"] if item["state"] == "waived")
    assert waived["lines"][0].startswith("Waived by test, ")


def test_what_has_no_glyph_or_hides_stands_as_its_code() -> None:
    assert glyphs.showable("a😀 \u202e\u0007 é→") == "a[U+1F600] [U+202E][U+0007] é→"
    digest = "0" * 64
    assert glyphs.showable(f"x {digest}") == f"x {digest}"
    assert "\u200b" in glyphs.showable("y" * 60)
