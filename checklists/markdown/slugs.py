"""Unique keys for phases, sections and items, which export and import preserve."""

from __future__ import annotations

import unicodedata

PART_LENGTH = 60  # three parts, two slashes and a number stay below 200 characters


class Keys:
    """An allocator of unique keys; duplicates get a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}  # the last number per key, to keep many equal items cheap

    def take(self, *parts: str) -> str:
        """Return a new key made of the slugs of `parts`, joined with slashes."""
        base = "/".join(slug(part) for part in parts)
        key, number = base, self._last.get(base, 1)
        while key in self._taken:
            number += 1
            key = f"{base}-{number}"
        self._taken.add(key)
        self._last[base] = number
        return key


def slug(text: str) -> str:
    """Return a slug of lower-case letters and digits of any script, joined with hyphens; never empty."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = "".join(character if character.isalnum() else " " for character in plain).split()
    short = "-".join(words)[:PART_LENGTH].rstrip("-")
    return short or "untitled"
