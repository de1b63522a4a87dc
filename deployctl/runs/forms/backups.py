"""Forms about backups: retention and uploads."""

from __future__ import annotations

import dataclasses

from django import forms

from deployctl.operations.backup.retention import Policy
from deployctl.runs.models.retention import LIMITS


def _count(name: str, label: str, help_text: str) -> forms.IntegerField:
    minimum, maximum = LIMITS[name]
    return forms.IntegerField(min_value=minimum, max_value=maximum, label=label, help_text=help_text)


class RetentionForm(forms.Form):
    """A retention policy, with the fields of `backup.retention.Policy`."""

    keep_days = _count("keep_days", "Keep every backup for (days)", "No backup younger than this is deleted.")
    daily = _count(
        "daily",
        "Daily backups",
        "Keep the newest backup of this many days. Days without a backup don't count.",
    )
    weekly = _count(
        "weekly",
        "Weekly backups",
        "The same for weeks, which start on Monday (UTC).",
    )
    monthly = _count("monthly", "Monthly backups", "The same for months.")

    @classmethod
    def of(cls, policy: Policy) -> RetentionForm:
        """Return the form that shows a policy."""
        return cls(initial=dataclasses.asdict(policy))


class UploadForm(forms.Form):
    """The fields before an uploaded file; `web.file_forms` parses the file itself."""

    origin = forms.BooleanField(
        label="I know where this dump comes from",
        help_text="A dump is SQL. When it is restored, it can do everything that the target's role can do, "
        "in every database that the role may connect to.",
        error_messages={"required": "Confirm that you know where the dump comes from."},
    )
