"""What a person's name may hold: it stands beside signatures, and must read as what it is."""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError

# Characters, as PostgreSQL counts them.
LONGEST = 150
NAMESAKE = "Another person here is called so; add what tells you apart, such as a middle name."

_LINE_ENDS = frozenset({"Cc", "Zl", "Zp"})
_UNREADABLE = _LINE_ENDS | {"Cf", "Cs", "Co", "Cn"}
# Letters and one sign by their category, and drawn as nothing.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA = 9
# Choose between shapes of the same letter: two names that differ in nothing else look the same.
_OF_SHAPE = re.compile(f"[{_NON_JOINER}{_JOINER}\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def validate(name: str) -> None:
    """Accept a name of which every character is seen, in the order in which it is written.

    Raises:
        django.core.exceptions.ValidationError: with a sentence that names the first other character.
    """
    for at, character in enumerate(name):
        if not _is_readable(name, at):
            called = unicodedata.name(character, "").lower()
            raise ValidationError(
                f"A name is printed beside signatures and cannot hold U+{ord(character):04X}"
                f"{called and f' ({called})'}, which is invisible, ends the line, changes the direction or"
                " has no meaning that everybody knows. Type the name without it."
            )


def cleaned(name: str) -> str:
    """The name without what `validate` refuses, for names that come from elsewhere.

    Returns:
        At most `LONGEST` characters; "" where nothing is left.
    """
    name = name.strip()[:LONGEST]
    kept = (
        character if _is_readable(name, at) else " " if unicodedata.category(character) in _LINE_ENDS else ""
        for at, character in enumerate(name)
    )
    return " ".join("".join(kept).split())


def look(name: str) -> str:
    """What two names have in common that people would take for the same."""
    plain = unicodedata.normalize("NFKC", _OF_SHAPE.sub("", name)).casefold()
    return " ".join(unicodedata.normalize("NFKC", plain).split())


def _is_readable(name: str, at: int) -> bool:
    character = name[at]
    if character in (_NON_JOINER, _JOINER):
        return _joins(name, at)
    return unicodedata.category(character) not in _UNREADABLE and character not in _BLANK


def _joins(name: str, at: int) -> bool:
    """Whether a joiner or non-joiner stands where spelling needs it (RFC 5892, appendix A.1 and A.2)."""
    before, after = name[at - 1 : at], name[at + 1 : at + 2]
    if not before:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    # A.1 asks for letters that join; that both are of an Arabic script is near enough for a name.
    is_arabic = all(letter and unicodedata.bidirectional(letter) == "AL" for letter in (before, after))
    return name[at] == _NON_JOINER and is_arabic
