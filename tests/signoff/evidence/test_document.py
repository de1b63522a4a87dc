"""The PDF of the evidence."""

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


def append_to_texts(value: Any, text: str) -> Any:
    """Return a value with a text appended to every string that contains a space."""
    if isinstance(value, dict):
        return {name: append_to_texts(inner, text) for name, inner in value.items()}
    if isinstance(value, list):
        return [append_to_texts(inner, text) for inner in value]
    return f"{value} {text}" if isinstance(value, str) and " " in value else value


def test_any_user_content_can_be_rendered(pack: EvidencePack) -> None:
    for text in HOSTILE:
        parsed = json.loads(pack.content())
        contents = parsed["contents"]
        for name in ("deployment", "team", "transitions", "checklist", "signatures", "gates"):
            contents[name] = append_to_texts(contents[name], text)
        contents["about"]["title"] = f"Title {text}"
        contents["deployment"]["rollback_plan"] = text
        assert document.render(parsed, pack.digest).startswith(b"%PDF-"), text


def test_the_pdf_is_archivable_accessible_and_reproducible(pack: EvidencePack) -> None:
    pdf = document.render(json.loads(pack.content()), pack.digest)
    assert b"<pdfaid:part>2</pdfaid:part>" in pdf
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert pdf == document.render(json.loads(pack.content()), pack.digest)


def test_the_pdf_shows_what_21_cfr_11_50_requires(pack: EvidencePack) -> None:
    data = document_data(json.loads(pack.content())["contents"], pack.digest)
    assert data["digest"] == pack.digest
    [first, second] = [slot["signatures"][0] for slot in data["gates"][0]["slots"]]
    assert (first["name"], second["name"]) == ("Dana Baker", "Dev Opsworth")
    facts = dict(fact[:2] for fact in first["facts"])
    assert facts["Meaning"] == "“I approve this deployment for production.”"
    assert facts["Time"].endswith("UTC")
    assert len(facts["Record SHA-256"]) == 64
    assert "not final" in data["status"]
    waived = next(item for part in data["checklist"] for item in part["items"] if item["state"] == "waived")
    assert waived["lines"][0].startswith("Waived by test, ")


def test_missing_and_invisible_characters_are_shown_as_codes() -> None:
    assert glyphs.showable("a😀 \u202e\u0007 é→") == "a[U+1F600] [U+202E][U+0007] é→"
    digest = "0" * 64
    assert glyphs.showable(f"x {digest}") == f"x {digest}"
    assert "\u200b" in glyphs.showable("y" * 60)
