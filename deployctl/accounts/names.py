"""Validate and compare people's names: names appear next to signatures and must not be misleading."""

from __future__ import annotations

import functools
import re
import unicodedata

from confusable_homoglyphs import confusables
from django.core.exceptions import ValidationError

# In characters, as PostgreSQL counts them.
MAX_LENGTH = 150
NAME_TAKEN = "Someone already uses this name. Add a middle name or an initial."

_LINE_ENDS = frozenset({"Cc", "Zl", "Zp"})
_UNREADABLE = _LINE_ENDS | {"Cf", "Cs", "Co", "Cn"}
# Their category is letter or symbol, but they are invisible.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VIRAMA = 9
# Joiners and variation selectors only change the shape of a letter: names that differ only in these look the
# same.
_SHAPE_SELECTORS = re.compile(f"[{_NON_JOINER}{_JOINER}\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def validate(name: str) -> None:
    """Validate that every character of a name is visible and in reading order.

    Raises:
        django.core.exceptions.ValidationError: names the first invalid character.
    """
    for index, character in enumerate(name):
        if not _is_readable(name, index):
            description = unicodedata.name(character, "").lower()
            raise ValidationError(
                f"A name can't contain U+{ord(character):04X}{description and f' ({description})'}, because"
                " the character is invisible, is undefined, or changes the line or the direction. Remove it."
            )


def clean(name: str) -> str:
    """Return a name without the characters that `validate` rejects; used for names from a provider.

    Returns:
        At most `MAX_LENGTH` characters; "" if nothing is left.
    """
    name = name.strip()[:MAX_LENGTH]
    characters = (
        character
        if _is_readable(name, index)
        else " "
        if unicodedata.category(character) in _LINE_ENDS
        else ""
        for index, character in enumerate(name)
    )
    return " ".join("".join(characters).split())


def skeletons(name: str) -> frozenset[str]:
    """Return the skeletons of a name (UTS 39); names that share a skeleton look alike.

    There are two, because the upper case and the lower case of a letter can resemble different letters: Greek
    eta looks like H or n.
    """
    visible = _decompose(_SHAPE_SELECTORS.sub("", name))
    return frozenset(
        " ".join(_replace_by_prototypes(_decompose(form.casefold())).split())
        for form in (visible, _replace_by_prototypes(visible))
    )


def _decompose(text: str) -> str:
    return unicodedata.normalize("NFKD", text)


def _replace_by_prototypes(text: str) -> str:
    """Replace each character by the prototype of its look-alikes (UTS 39, 4)."""
    return _decompose("".join(map(_prototype, text)))


@functools.lru_cache(maxsize=4096)
def _prototype(character: str) -> str:
    # For a character the library lists its prototype, and for a prototype all of its look-alikes.
    similar = _similar(character)
    if len(similar) != 1:
        return character
    [other] = similar
    return min(character, other) if len(other) == len(_similar(other)) == 1 else other


def _similar(character: str) -> list[str]:
    found = confusables.is_confusable(character)
    return [entry["c"] for entry in found[0]["homoglyphs"]] if found else []


def _is_readable(name: str, index: int) -> bool:
    character = name[index]
    if character in (_NON_JOINER, _JOINER):
        return _is_joiner_allowed(name, index)
    return unicodedata.category(character) not in _UNREADABLE and character not in _BLANK


def _is_joiner_allowed(name: str, index: int) -> bool:
    """Return True if spelling needs this joiner or non-joiner (RFC 5892, appendix A.1 and A.2)."""
    before, after = name[index - 1 : index], name[index + 1 : index + 2]
    if not before:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    # A.1 requires letters that join; for a name it is enough that both are of an Arabic script.
    is_arabic = all(letter and unicodedata.bidirectional(letter) == "AL" for letter in (before, after))
    return name[index] == _NON_JOINER and is_arabic
