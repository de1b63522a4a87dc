"""The result of a verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A difference from the exported file.

    Attributes:
        location: a JSON pointer, a line, or a file in an archive; empty for the file as a whole.
        sentence: a description of the problem.
    """

    location: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.location or 'the file'}: {self.sentence}"


@dataclass
class Finding:
    """The result of verifying a file.

    Attributes:
        kind: the kind of file, for people.
        problems: empty if the file is exactly as exported.
        facts: a summary of the file, such as deployment, state and number of signatures.
        fingerprint: the fingerprint of the key in the file; empty if there is none.
        key_is_trusted: True if that key is one of the trusted keys. Otherwise the file proves only that it is
            consistent with the key that it contains.
    """

    kind: str
    problems: list[Problem] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    key_is_trusted: bool = False

    @property
    def ok(self) -> bool:
        """Return True if there are no problems."""
        return not self.problems

    def add(self, location: str, sentence: str) -> None:
        """Add a problem. Both texts can contain untrusted input, so unprintable characters are escaped."""
        self.problems.append(Problem(_printable(location), _printable(sentence)))

    @contextmanager
    def inside(self, location: str) -> Iterator[Callable[[str, str], None]]:
        """Examine a part of untrusted structure; missing keys and wrong types become a problem.

        Yields:
            A function that adds a problem: it takes a location relative to this one, and a sentence.
        """
        try:
            yield lambda below, sentence: self.add(location + below, sentence)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
            self.add(location, "This does not have the structure of a pack.")


def _printable(text: str) -> str:
    """Escape unprintable characters, which terminals and databases may reject."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
