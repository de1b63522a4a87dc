"""The evidence of a deployment as a PDF, from a pack (PDF/A-2a, PDF/UA-1).

`document_words` says what is in it, `document.typ` how it looks. What people wrote is handed over as values,
so none of it is ever read as markup.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import typst

from signoff.evidence.document_words import words
from signoff.evidence.glyphs import fonts, showable
from signoff.evidence.reading import Json

FORM = Path(__file__).with_name("document.typ")
STANDARDS: Any = ["a-2a", "ua-1"]


def render(pack: Json, digest: str) -> bytes:
    """The document.

    Args:
        pack: a pack as `signoff.models.EvidencePack` keeps it.
        digest: SHA-256 of the pack's file; printed on every page.
    """
    contents = pack["contents"]
    data = showable(words(contents, digest))
    made = typst.compile(
        {"main.typ": FORM.read_bytes(), "data.json": json.dumps(data).encode()},
        format="pdf",
        pdf_standards=STANDARDS,
        **fonts(),
        timestamp=datetime.fromisoformat(contents["about"]["exported_at"]),
    )
    return bytes(made)
