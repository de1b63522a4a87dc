"""What the fonts of the document can show: PDF/A allows no character without a glyph."""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from typing import Any

import typst
from django.conf import settings

# Checked for every character that is not plain ASCII; some 2 ms each, once per process.
_PROBE = b"""#set document(title: "probe")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"))
#json("c.json")
"""
_BREAK = "\u200b"  # a place where a line may end
LONGEST_WORD = 24
# Digests are copied and compared, so nothing is put between their digits; lines have room for them.
DIGEST_DIGITS = 64


def fonts() -> dict[str, Any]:
    """The fonts to set in: those that come with the library, so that a document looks the same everywhere.

    `DEPLOYCTL_FONTS` adds a folder for scripts that they lack.
    """
    return {
        "ignore_system_fonts": True,
        "font_paths": [settings.DEPLOYCTL_FONTS] if settings.DEPLOYCTL_FONTS else [],
    }


def showable(value: Any) -> Any:
    """A JSON value of which every text can be printed: what has no glyph, or hides, stands as its code."""
    if isinstance(value, str):
        return _breakable("".join(map(_shown, value)))
    if isinstance(value, dict):
        return {name: showable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [showable(inner) for inner in value]
    return value


def _shown(character: str) -> str:
    if character.isascii():
        if character.isprintable() or character == "\n":
            return character
        return " " if character.isspace() else _code(character)
    if unicodedata.category(character) in {"Zl", "Zp"}:
        return "\n"
    if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn", "Cs"} or not has_glyph(character):
        return _code(character)
    return character


def _code(character: str) -> str:
    return f"[U+{ord(character):04X}]"


@lru_cache(maxsize=8192)
def has_glyph(character: str) -> bool:
    """Whether the fonts that the document is set in can show a character."""
    try:
        typst.compile(
            {"main.typ": _PROBE, "c.json": json.dumps(character).encode()},
            format="pdf",
            pdf_standards="a-2b",
            **fonts(),
        )
    except typst.TypstError:
        return False
    return True


def _breakable(text: str) -> str:
    """Let long words break, so that none runs off the page."""
    if len(text) <= LONGEST_WORD:
        return text
    return " ".join(_broken(word) for word in text.split(" "))


def _broken(word: str) -> str:
    if len(word) <= LONGEST_WORD or (len(word) == DIGEST_DIGITS and word.isalnum()):
        return word
    pieces = (word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD))
    return _BREAK.join(pieces)
