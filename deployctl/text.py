"""How many of something there are, in words: “1 file”, “1,204 rows”, “2 entries”."""

from __future__ import annotations

VOWELS = "aeiou"


def pluralize(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    Args:
        noun: what one of them is called.
        plural: what several are called, where the usual ending does not do.
    """
    return f"{number:,} {noun if number == 1 else plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("x", "s", "sh", "ch")) else f"{noun}s"
