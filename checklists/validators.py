"""Validate and normalize the texts of a deployment: title, rollback plan, reasons and notes."""

from __future__ import annotations

from deployctl.errors import InvalidInput

TITLE_LENGTH = 200
TEXT_LENGTH = 20_000


def clean_title(title: str) -> str:
    """Return the title with normalized spaces.

    Raises:
        InvalidInput: the title is empty or longer than `TITLE_LENGTH` characters.
    """
    title = " ".join(title.split())
    if not title:
        raise InvalidInput(
            "A deployment needs a title. Nothing was changed; describe the deployment in a few words."
        )
    if len(title) > TITLE_LENGTH:
        raise InvalidInput(
            f"The title is longer than {TITLE_LENGTH} characters. Nothing was changed; shorten it."
        )
    return title


def clean_plan(plan: str) -> str:
    """Return the rollback plan with normalized newlines.

    Raises:
        InvalidInput: the plan is empty or longer than `TEXT_LENGTH` characters.
    """
    plan = clean_note(plan)
    if not plan:
        raise InvalidInput(
            "A deployment needs a rollback plan, which the first gate approves. Nothing was changed; "
            "describe who does what if the deployment fails."
        )
    return plan


def clean_reason(reason: str) -> str:
    """Return the reason with normalized newlines.

    Raises:
        InvalidInput: the reason is empty or longer than `TEXT_LENGTH` characters.
    """
    reason = clean_note(reason)
    if not reason:
        raise InvalidInput("This needs a reason, which becomes part of the record. Nothing was changed.")
    return reason


def clean_note(note: str) -> str:
    """Return the note, which may be empty, with normalized newlines.

    Raises:
        InvalidInput: the note is longer than `TEXT_LENGTH` characters.
    """
    note = normalize_newlines(note)
    if len(note) > TEXT_LENGTH:
        raise InvalidInput(
            f"The text is longer than {TEXT_LENGTH} characters. Nothing was changed; attach it as a file."
        )
    return note


def normalize_newlines(text: str) -> str:
    """Return the text with LF line ends (browsers send CR LF) and without surrounding whitespace and NULs."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()
