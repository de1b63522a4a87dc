"""Forms about keeping backups and secrets."""

from __future__ import annotations

import dataclasses
from typing import Any

from django import forms
from django.conf import settings

from deployctl.operations.retention import Policy
from deployctl.runs.models import PhysicalEngine
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


class PhysicalEngineForm(forms.Form):
    """Which stanza of pgBackRest is a target's own."""

    stanza = forms.CharField(
        max_length=100,
        help_text="pgBackRest's name for this target's cluster, as in its configuration.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    configuration = forms.CharField(
        max_length=500,
        required=False,
        label="Configuration file",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    scratch_folder = forms.CharField(
        max_length=500,
        required=False,
        label="Folder for test restores",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roots = ", ".join(map(str, settings.DEPLOYCTL_PGBACKREST_ROOTS))
        below = f"below /etc/pgbackrest{f' or {roots}' if roots else ''}"
        self.fields["configuration"].help_text = (
            f"Empty for the place where pgBackRest looks by itself; else a file {below}. Passwords and keys "
            "stay in it."
        )
        self.fields["scratch_folder"].help_text = (
            "Has room for the whole cluster, and pgBackRest's account may enter it. Empty for the target's "
            "folder of backups; else it lies below: "
            f"{roots or 'none is allowed yet (DEPLOYCTL_PGBACKREST_ROOTS)'}."
        )

    @classmethod
    def of(cls, engine: PhysicalEngine | None) -> PhysicalEngineForm:
        """The form that shows an engine, or an empty one."""
        return cls(initial=engine.facts() if engine else None)


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
