"""Problems of a template with their line numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deployctl.errors import InvalidInput


@dataclass(frozen=True, order=True)
class Problem:
    """A problem of a template: its line, counted from 1 (0 for the whole file), and a message with a fix."""

    line: int
    message: str
    file: str = ""

    def __str__(self) -> str:
        file = self.file or "template"
        return f"{file}:{self.line}: {self.message}" if self.line else f"{file}: {self.message}"


class TemplateErrors(InvalidInput):
    """The template is invalid; `problems` holds all problems, ordered by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Collector:
    """A collector of problems during parsing, to report all of them at once."""

    file: str = ""
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Add a problem; `message` is a sentence that also says how to fix it."""
        self.problems.append(Problem(line, message, self.file))

    def raise_if_any(self) -> None:
        """Raise TemplateErrors with all collected problems, if there are any."""
        if self.problems:
            raise TemplateErrors(dict.fromkeys(self.problems))
