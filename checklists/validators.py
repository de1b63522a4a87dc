"""What people write into the record, checked and made uniform."""

from __future__ import annotations

from deployctl.errors import InvalidInput

TITLE_LENGTH = 200
TEXT_LENGTH = 20_000


def clean_title(title: str) -> str:
    """A title that fits on a line.

    Raises:
        InvalidInput: empty or too long.
    """
    title = " ".join(title.split())
    if not title:
        raise InvalidInput(
            "A deployment needs a title. Nothing was changed; say in a few words what it brings."
        )
    if len(title) > TITLE_LENGTH:
        raise InvalidInput(
            f"The title is longer than {TITLE_LENGTH} characters. Nothing was changed; shorten it."
        )
    return title


def clean_plan(plan: str) -> str:
    """A rollback plan.

    Raises:
        InvalidInput: empty.
    """
    plan = clean_note(plan)
    if not plan:
        raise InvalidInput(
            "A deployment needs a rollback plan: what is done, and by whom, when it goes wrong. "
            "Nothing was changed; the first gate approves this plan."
        )
    return plan


def clean_reason(reason: str) -> str:
    """A reason, which goes into the record.

    Raises:
        InvalidInput: empty.
    """
    reason = clean_note(reason)
    if not reason:
        raise InvalidInput("This needs a reason, which goes into the record. Nothing was changed.")
    return reason


def clean_note(note: str) -> str:
    """A note, which may be empty.

    Raises:
        InvalidInput: longer than a page or two; that is a document, to be attached as a file.
    """
    note = normalize_newlines(note)
    if len(note) > TEXT_LENGTH:
        raise InvalidInput(
            f"The text is longer than {TEXT_LENGTH} characters. Nothing was changed; attach it as a file."
        )
    return note


def normalize_newlines(text: str) -> str:
    """Text with one kind of line end, and none around it; browsers send CR LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "").strip()
