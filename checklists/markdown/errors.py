"""What can be wrong with a template, each with its place in the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deployctl.errors import InvalidInput


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong: the line it stands on (counted from 1; 0 is the whole file) and what to do."""

    line: int
    message: str
    file: str = ""

    def __str__(self) -> str:
        place = self.file or "template"
        return f"{place}:{self.line}: {self.message}" if self.line else f"{place}: {self.message}"


class TemplateErrors(InvalidInput):
    """The template cannot be used; `problems` names every place, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Collector:
    """Gathers problems while a document is read, so that the author sees all of them at once."""

    file: str = ""
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Note that something on `line` is wrong; `message` is a sentence that says what to do."""
        self.problems.append(Problem(line, message, self.file))

    def raise_if_any(self) -> None:
        """End the reading with everything found so far.

        Raises:
            TemplateErrors: if anything was found.
        """
        if self.problems:
            raise TemplateErrors(dict.fromkeys(self.problems))
