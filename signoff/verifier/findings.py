"""What a verification found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was exported.

    Attributes:
        place: a JSON pointer, a line or a file within an archive; with the byte where that is known.
        sentence: what is wrong there.
    """

    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place or 'the file'}: {self.sentence}"


@dataclass
class Finding:
    """What was verified and what is wrong with it.

    Attributes:
        kind: what the file is, in words.
        problems: empty where it is what was exported.
        facts: what the reader wants to know of it: deployment, state, signatures, entries.
        fingerprint: of the key that it says it was signed with; "" where it says none.
        key_is_trusted: whether that key is one that the reader named; else the file only vouches for itself.
    """

    kind: str
    problems: list[Problem] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    key_is_trusted: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, place: str, sentence: str) -> None:
        """Note a problem; what cannot be printed, of a file that may be anybody's, becomes an escape."""
        self.problems.append(Problem(_printable(place), _printable(sentence)))

    @contextmanager
    def inside(self, place: str) -> Iterator[Callable[[str, str], None]]:
        """Look at a part whose form is not certain: what is missing or of another kind becomes a problem.

        Yields:
            Notes a problem at a place below this one.
        """
        try:
            yield lambda below, sentence: self.add(place + below, sentence)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
            self.add(place, "This is not in the form of a pack.")


def _printable(text: str) -> str:
    """NUL, control characters and half a surrogate pair as escapes: terminals and databases choke on them."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
