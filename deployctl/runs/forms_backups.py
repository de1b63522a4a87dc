"""Forms about keeping backups and secrets."""

from __future__ import annotations

import dataclasses

from django import forms

from deployctl.operations.retention import Policy
from deployctl.runs.models.retention import LIMITS


def _count(name: str, label: str, help_text: str) -> forms.IntegerField:
    minimum, maximum = LIMITS[name]
    return forms.IntegerField(min_value=minimum, max_value=maximum, label=label, help_text=help_text)


class RetentionForm(forms.Form):
    """A policy; its fields are those of `operations.retention.Policy`."""

    keep_days = _count("keep_days", "Keep everything for (days)", "Every backup younger than this stays.")
    daily = _count("daily", "Days", "The newest backup of each of the last so many days that have one.")
    weekly = _count("weekly", "Weeks", "The same for weeks, which begin on Monday (UTC).")
    monthly = _count("monthly", "Months", "The same for months.")

    @classmethod
    def of(cls, policy: Policy) -> RetentionForm:
        """The form that shows a policy."""
        return cls(initial=dataclasses.asdict(policy))


class UploadForm(forms.Form):
    """What goes before an uploaded file; the file itself never reaches Django (see `web.file_forms`)."""

    origin = forms.BooleanField(
        label="I know where this dump comes from",
        help_text="A dump is SQL. When it is restored, it can do whatever the target's role can, in every "
        "database that the role may connect to.",
        error_messages={"required": "Send in only dumps whose origin you know."},
    )


class StoredSecretForm(forms.Form):
    """A value to be kept encrypted. The page never shows it again."""

    name = forms.RegexField(
        r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z",
        help_text="As the project calls it, such as ADMIN_DEFAULT_PASSWORD. An earlier value is replaced.",
        error_messages={"invalid": "Use letters, digits and _, not starting with a digit."},
    )
    value = forms.CharField(
        max_length=65536,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Encrypted with DEPLOYCTL_FIELD_KEY, which is not in the database; never shown again.",
    )
