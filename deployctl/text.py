"""Text helpers: numbers with nouns, such as “1 file”, “1,204 rows” or “2 entries”."""

from __future__ import annotations

VOWELS = "aeiou"


def pluralize(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun in the singular or plural.

    Args:
        number: the number.
        noun: the singular.
        plural: the plural, if it is irregular.
    """
    return f"{number:,} {noun if number == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("x", "s", "sh", "ch")) else f"{noun}s"
