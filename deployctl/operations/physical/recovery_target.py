"""Parse a recovery target: the end of the WAL, the end of the backup, or a time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from deployctl.errors import InvalidInput

LATEST, IMMEDIATE = "latest", "immediate"


@dataclass(frozen=True)
class RecoveryTarget:
    """The point at which recovery ends; `time` is None for the kinds `latest` and `immediate`."""

    kind: str
    time: dt.datetime | None = None

    def __str__(self) -> str:
        if self.time is not None:
            return self.time.isoformat()
        return "the end of the backup" if self.kind == IMMEDIATE else "the end of the archived WAL"

    @property
    def options(self) -> list[str]:
        """Return the options of pgBackRest's `restore`."""
        if self.time is not None:
            target = self.time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
            return ["--type=time", f"--target={target}", "--target-action=promote"]
        return (
            ["--type=immediate", "--target-action=promote"] if self.kind == IMMEDIATE else ["--type=default"]
        )

    def is_after(self, backup_ended_at: dt.datetime) -> bool:
        """Return True if a backup that ended at this time can be recovered to the target."""
        # pgBackRest reports whole seconds, so the backup may have ended up to 1 s later.
        return self.time is None or self.time >= backup_ended_at + dt.timedelta(seconds=1)


def parse(text: str, *, now: dt.datetime) -> RecoveryTarget:
    """Return the recovery target that a person entered.

    Raises:
        InvalidInput: it isn't a keyword or a past time with a time zone.
    """
    kind = text.strip().lower()
    if kind in {LATEST, IMMEDIATE}:
        return RecoveryTarget(kind)
    try:
        time = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            f"{text!r} isn't a valid recovery target. Use {LATEST}, {IMMEDIATE}, or a time such as "
            "2026-05-04T10:30:00+02:00."
        ) from None
    if time.tzinfo is None:
        raise InvalidInput(f"{text} has no time zone. Add one, such as {text}Z or {text}+02:00.")
    if time > now:
        raise InvalidInput(f"{text} is in the future. Nothing was restored. Choose an earlier time.")
    return RecoveryTarget("", time)
