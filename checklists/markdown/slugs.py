"""Names of items that stay the same when the template is exported and imported again."""

from __future__ import annotations

import unicodedata

PART_LENGTH = 60  # three parts, two slashes and a number stay below 200 characters


class Keys:
    """Hands out each key once; a second one with the same words gets a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}  # the number given last, so that a thousand equal items stay cheap

    def take(self, *parts: str) -> str:
        """A key from the slugs of `parts`, joined by slashes."""
        wanted = "/".join(slug(part) for part in parts)
        key, number = wanted, self._last.get(wanted, 1)
        while key in self._taken:
            number += 1
            key = f"{wanted}-{number}"
        self._taken.add(key)
        self._last[wanted] = number
        return key


def slug(text: str) -> str:
    """Letters and digits of any script in lower case, everything else one hyphen; never empty."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = "".join(character if character.isalnum() else " " for character in plain).split()
    short = "-".join(words)[:PART_LENGTH].rstrip("-")
    return short or "untitled"
