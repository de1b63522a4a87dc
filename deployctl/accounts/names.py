"""What a person's name may hold: it stands beside signatures, and must read as what it is."""

from __future__ import annotations

import functools
import re
import unicodedata

from confusable_homoglyphs import confusables
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


def skeletons(name: str) -> frozenset[str]:
    """Return the forms by which two names are compared: names that share one look alike.

    Capitals and small letters resemble different letters (Greek eta reads H or n), which takes two forms.
    """
    shown = _decomposed(_OF_SHAPE.sub("", name))
    return frozenset(
        " ".join(_prototypes(_decomposed(form.casefold())).split()) for form in (shown, _prototypes(shown))
    )


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFKD", text)


def _prototypes(text: str) -> str:
    """Replace each character by the one that stands for all that look like it (UTS 39, 4)."""
    return _decomposed("".join(map(_prototype, text)))


@functools.lru_cache(maxsize=4096)
def _prototype(character: str) -> str:
    # The library lists a prototype beside each character, and all its characters beside a prototype.
    similar = _similar(character)
    if len(similar) != 1:
        return character
    [other] = similar
    return min(character, other) if len(other) == len(_similar(other)) == 1 else other


def _similar(character: str) -> list[str]:
    found = confusables.is_confusable(character)
    return [entry["c"] for entry in found[0]["homoglyphs"]] if found else []


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
