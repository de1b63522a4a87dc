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

    keep_days = _count("keep_days", "Keep everything for (days)", "Every backup younger than this stays.")
    daily = _count("daily", "Days", "The newest backup of each of the last so many days that have one.")
    weekly = _count("weekly", "Weeks", "The same for weeks, which begin on Monday (UTC).")
    monthly = _count("monthly", "Months", "The same for months.")

    @classmethod
    def of(cls, policy: Policy) -> RetentionForm:
        """Return the form that shows a policy."""
        return cls(initial=dataclasses.asdict(policy))


class UploadForm(forms.Form):
    """The fields before an uploaded file, which `web.file_forms` receives instead of Django."""

    origin = forms.BooleanField(
        label="I know where this dump comes from",
        help_text="A dump is SQL. When it is restored, it can do whatever the target's role can, in every "
        "database that the role may connect to.",
        error_messages={"required": "Send in only dumps whose origin you know."},
    )
