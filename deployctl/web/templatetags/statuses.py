"""The icon and word of every status. Colour alone must never carry the meaning."""

from __future__ import annotations

from typing import NamedTuple


class Appearance(NamedTuple):
    """The heroicon (mini style) and the word of a status."""

    icon: str
    word: str


UNKNOWN_STATUS_ICON = "question-mark-circle"

# Keys are the values stored in the models. The colours of the same keys are in static/css/tokens.css.
APPEARANCES: dict[str, Appearance] = {
    # items, checks and proofs
    "open": Appearance("stop", "Open"),
    "done": Appearance("check-circle", "Done"),
    "waived": Appearance("minus-circle", "Waived"),
    "pass": Appearance("check-circle", "Pass"),
    "fail": Appearance("x-circle", "Fail"),
    "error": Appearance("exclamation-triangle", "Error"),
    "pending": Appearance("clock", "Pending"),
    "not_measurable": Appearance("eye-slash", "Not measurable"),
    "late": Appearance("clock", "Late"),
    # runs and their steps
    "waiting": Appearance("hand-raised", "Waiting"),
    "queued": Appearance("queue-list", "Queued"),
    "running": Appearance("play-circle", "Running"),
    "succeeded": Appearance("check-circle", "Succeeded"),
    "failed": Appearance("x-circle", "Failed"),
    "cancelled": Appearance("no-symbol", "Cancelled"),
    "interrupted": Appearance("bolt-slash", "Interrupted"),
    "unknown": Appearance("question-mark-circle", "Unknown"),
    # deployments
    "planning": Appearance("pencil-square", "Planning"),
    "approved": Appearance("hand-thumb-up", "Approved"),
    "deploying": Appearance("rocket-launch", "Deploying"),
    "verifying": Appearance("magnifying-glass", "Verifying"),
    "signed_off": Appearance("check-badge", "Signed off"),
    "closed": Appearance("archive-box", "Closed"),
    "halted": Appearance("pause-circle", "Halted"),
    "rolling_back": Appearance("arrow-uturn-left", "Rolling back"),
    "rolled_back": Appearance("arrow-uturn-left", "Rolled back"),
    # gates and signatures
    "go": Appearance("check-circle", "GO"),
    "no-go": Appearance("hand-raised", "NO-GO"),
    "signed": Appearance("check-badge", "Signed"),
    "unsigned": Appearance("pencil", "Not signed"),
    "stale": Appearance("link-slash", "Stale"),
    # backups, by trust
    "written": Appearance("document", "Written"),
    "hashed": Appearance("finger-print", "Hashed"),
    "restored": Appearance("arrow-path", "Restored"),
    "proven": Appearance("shield-check", "Proven"),
    # templates, people, chains
    "draft": Appearance("pencil-square", "Draft"),
    "published": Appearance("lock-closed", "Published"),
    "active": Appearance("check-circle", "Active"),
    "disabled": Appearance("no-symbol", "Disabled"),
    "intact": Appearance("shield-check", "Intact"),
    "broken": Appearance("shield-exclamation", "Broken"),
}


def appearance(status: str) -> Appearance:
    """Return the icon and word of a status.

    Args:
        status: a stored value such as `signed_off`; an unknown one gets a question mark and its own name.
    """
    known = APPEARANCES.get(status)
    return known or Appearance(UNKNOWN_STATUS_ICON, status.replace("_", " ").capitalize() or "None")
