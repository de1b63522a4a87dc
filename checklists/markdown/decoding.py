"""From the bytes of a file to text, refusing what cannot be a template."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from checklists.markdown.errors import Problem, TemplateErrors

MAX_BYTES = 1024 * 1024


def read_file(path: Path) -> str:
    """The text of a template file.

    Raises:
        TemplateErrors: if it cannot be read or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise TemplateErrors([Problem(0, f"The file could not be read: {reason}.", str(path))]) from None
    return decode(content, filename=str(path))


def decode(content: bytes, *, filename: str = "") -> str:
    """The text of a template.

    Args:
        content: at most 1 MiB of UTF-8.
        filename: for the messages.

    Raises:
        TemplateErrors: if it is too large or no text.
    """
    if len(content) > MAX_BYTES:
        message = (
            "The file is larger than 1 MB; a checklist is text of a few pages. Choose the Markdown file."
        )
        raise TemplateErrors([Problem(0, message, filename)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "The file is not text in UTF-8; save it as UTF-8, or choose the Markdown file."
        raise TemplateErrors([Problem(line, message, filename)]) from None
    check_characters(text, filename=filename)
    return text


def plain_spaces(text: str) -> str:
    """Make spaces of every kind the ordinary one: Markdown libraries disagree about the others."""
    return "".join(" " if unicodedata.category(c) in {"Zs", "Zl", "Zp"} else c for c in text)


def check_characters(text: str, *, filename: str = "") -> None:
    """Refuse control characters: they are invisible, and PostgreSQL cannot store NUL.

    Raises:
        TemplateErrors: naming the first such character of each line.
    """
    problems = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        bad = next((c for c in line if c != "\t" and unicodedata.category(c) in {"Cc", "Cs"}), None)
        if bad is not None:
            message = (
                f"This line holds the control character U+{ord(bad):04X}; remove it, or choose a text file."
            )
            problems.append(Problem(number, message, filename))
    if problems:
        raise TemplateErrors(problems[:20])
