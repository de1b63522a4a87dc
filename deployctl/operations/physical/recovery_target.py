"""Until when a cluster is recovered: to the end of its WAL, to the end of the backup, or to a time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from deployctl.errors import InvalidInput

LATEST, IMMEDIATE = "latest", "immediate"


@dataclass(frozen=True)
class RecoveryTarget:
    """A moment that recovery ends at. `time` is None for `latest` and `immediate`."""

    word: str
    time: dt.datetime | None = None

    def __str__(self) -> str:
        if self.time is not None:
            return self.time.isoformat()
        return "the end of the backup" if self.word == IMMEDIATE else "the end of the archived WAL"

    @property
    def options(self) -> list[str]:
        """For pgBackRest's `restore`."""
        if self.time is not None:
            target = self.time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
            return ["--type=time", f"--target={target}", "--target-action=promote"]
        return (
            ["--type=immediate", "--target-action=promote"] if self.word == IMMEDIATE else ["--type=default"]
        )

    def is_after(self, backup_ended_at: dt.datetime) -> bool:
        """Whether a backup can be recovered to it."""
        # pgBackRest tells whole seconds, so the backup may have ended up to one later.
        return self.time is None or self.time >= backup_ended_at + dt.timedelta(seconds=1)


def parse(text: str, *, now: dt.datetime) -> RecoveryTarget:
    """Read what a person wrote.

    Raises:
        InvalidInput: it is no moment that can be recovered to.
    """
    word = text.strip().lower()
    if word in {LATEST, IMMEDIATE}:
        return RecoveryTarget(word)
    try:
        time = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no moment. Write {LATEST}, {IMMEDIATE}, or a time such as "
            "2026-05-04T10:30:00+02:00."
        ) from None
    if time.tzinfo is None:
        raise InvalidInput(f"{text} names no time zone. Add it, such as {text}Z or {text}+02:00.")
    if time > now:
        raise InvalidInput(f"{text} has not come yet. Nothing was restored. Choose an earlier time.")
    return RecoveryTarget("", time)
