"""Decode template files, and reject those that cannot be templates."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from checklists.markdown.errors import Problem, TemplateErrors

MAX_BYTES = 1024 * 1024


def read_file(path: Path) -> str:
    """Return the text of a template file.

    Raises:
        TemplateErrors: the file cannot be read, is too large, or isn't text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise TemplateErrors([Problem(0, f"The file couldn't be read: {reason}.", str(path))]) from None
    return decode(content, filename=str(path))


def decode(content: bytes, *, filename: str = "") -> str:
    """Return the text of a template.

    Args:
        content: up to 1 MiB of UTF-8.
        filename: the file name for error messages.

    Raises:
        TemplateErrors: the content is too large or isn't text.
    """
    if len(content) > MAX_BYTES:
        message = "The file is larger than 1 MB, the maximum for a checklist; choose a Markdown file."
        raise TemplateErrors([Problem(0, message, filename)])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "The file isn't UTF-8 text; save it as UTF-8, or choose a Markdown file."
        raise TemplateErrors([Problem(line, message, filename)]) from None
    check_characters(text, filename=filename)
    return text


def normalize_spaces(text: str) -> str:
    """Replace Unicode spaces by ordinary ones, because Markdown libraries treat them differently."""
    return "".join(" " if unicodedata.category(c) in {"Zs", "Zl", "Zp"} else c for c in text)


def check_characters(text: str, *, filename: str = "") -> None:
    """Raise TemplateErrors with the first control character of each line: they are invisible in editors."""
    problems = []
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        bad = next((c for c in line if c != "\t" and unicodedata.category(c) in {"Cc", "Cs"}), None)
        if bad is not None:
            message = f"This line contains the control character U+{ord(bad):04X}; remove it."
            problems.append(Problem(number, message, filename))
    if problems:
        raise TemplateErrors(problems[:20])
