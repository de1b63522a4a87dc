"""Replace characters that the fonts of the document cannot show; PDF/A requires a glyph for each."""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from typing import Any

import typst
from django.conf import settings

# Compiled for each non-ASCII character, once per process; takes about 2 ms.
_PROBE = b"""#set document(title: "probe")
#set text(font: ("Libertinus Serif", "DejaVu Sans Mono"))
#json("c.json")
"""
_BREAK = "\u200b"  # a permitted line break
LONGEST_WORD = 24
# Digests are copied and compared, so they get no breaks; they fit on a line.
DIGEST_DIGITS = 64


def fonts() -> dict[str, Any]:
    """Return the font options of Typst: its bundled fonts, so that documents look the same everywhere.

    `DEPLOYCTL_FONTS` adds a folder with fonts for other scripts.
    """
    return {
        "ignore_system_fonts": True,
        "font_paths": [settings.DEPLOYCTL_FONTS] if settings.DEPLOYCTL_FONTS else [],
    }


def showable(value: Any) -> Any:
    """Return a JSON value whose texts can be printed; invisible and missing characters become their code."""
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
    """Return True if the fonts of the document have a glyph for the character."""
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
    """Allow line breaks in long words, so that none exceeds the page width."""
    if len(text) <= LONGEST_WORD:
        return text
    return " ".join(_broken(word) for word in text.split(" "))


def _broken(word: str) -> str:
    if len(word) <= LONGEST_WORD or (len(word) == DIGEST_DIGITS and word.isalnum()):
        return word
    pieces = (word[start : start + LONGEST_WORD] for start in range(0, len(word), LONGEST_WORD))
    return _BREAK.join(pieces)
