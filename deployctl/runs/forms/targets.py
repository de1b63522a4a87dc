"""Forms for the settings, roles, secrets and physical engine of a target."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings

from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.runs.models import Environment, PhysicalEngine, Target
from deployctl.secrets import known_sources


class TargetForm(forms.Form):
    """The settings of a target, except its name, which cannot be changed."""

    environment = forms.ChoiceField(
        choices=Environment.choices,
        help_text="Changes to production need a deployment whose first gate is signed, or two people.",
    )
    connection_reference = forms.CharField(
        max_length=300,
        label="Connection reference",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    project_folder = forms.CharField(
        max_length=500,
        required=False,
        label="Project folder",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(max_length=300, required=False, help_text="One line, shown in lists.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = " ".join(source.help for source in known_sources().values())
        self.fields[
            "connection_reference"
        ].help_text = f"Where the connection URL is kept, not the URL itself. {sources}"
        roots = (
            ", ".join(map(str, settings.DEPLOYCTL_PROJECT_ROOTS))
            or "none configured yet (DEPLOYCTL_PROJECT_ROOTS)"
        )
        self.fields[
            "project_folder"
        ].help_text = f"The folder with deployctl.toml, migrations and seed data. Allowed below: {roots}."

    @classmethod
    def of(cls, target: Target, data: Any) -> TargetForm:
        """Return the form for an existing target."""
        return cls(data, initial={name: getattr(target, name) for name in cls.base_fields})


class NewTargetForm(TargetForm):
    """The settings and name of a new target."""

    name = forms.CharField(
        max_length=60,
        help_text="Lowercase letters, digits, - and _. Part of URLs and backup names; can't be changed.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    field_order = ("name",)


class RoleForm(forms.Form):
    """A person's role for a target."""

    user = forms.ModelChoiceField(queryset=User.objects.none(), label="Person")
    role = forms.ChoiceField(choices=Role.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = cast("forms.ModelChoiceField[User]", self.fields["user"])
        people.queryset = User.objects.filter(is_active=True)


class PersonRoleForm(forms.Form):
    """A role for a target, on a person's page."""

    target = forms.ModelChoiceField(queryset=Target.objects.filter(archived_at=None))
    role = forms.ChoiceField(choices=Role.choices)


class SecretForm(forms.Form):
    """The reference of a secret that operations read by name."""

    name = forms.RegexField(
        r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z",
        help_text="The name that the project uses, such as ADMIN_DEFAULT_PASSWORD.",
        error_messages={"invalid": "Use letters, digits and _, not starting with a digit."},
    )
    reference = forms.CharField(max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reference"].help_text = " ".join(source.help for source in known_sources().values())


class StoredSecretForm(forms.Form):
    """A secret value, which is stored encrypted and never shown again."""

    name = forms.RegexField(
        r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z",
        help_text="The name in the project, such as ADMIN_DEFAULT_PASSWORD. Replaces an earlier value.",
        error_messages={"invalid": "Use letters, digits and _, not starting with a digit."},
    )
    value = forms.CharField(
        max_length=65536,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Encrypted with DEPLOYCTL_FIELD_KEY, which isn't in the database. Never shown again.",
    )


class PhysicalEngineForm(forms.Form):
    """The pgBackRest stanza of a target."""

    stanza = forms.CharField(
        max_length=100,
        help_text="The name of this target's cluster in pgBackRest's configuration.",
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
        allowed = f"/etc/pgbackrest{f', {roots}' if roots else ''}"
        self.fields["configuration"].help_text = (
            f"Leave empty for pgBackRest's default. Allowed below: {allowed}. Passwords and keys "
            "stay in this file."
        )
        self.fields["scratch_folder"].help_text = (
            "Needs room for the whole cluster, and must be accessible to pgBackRest's account. Leave empty "
            "for the target's backup folder. Allowed below: "
            f"{roots or 'none configured yet (DEPLOYCTL_PGBACKREST_ROOTS)'}."
        )

    @classmethod
    def of(cls, engine: PhysicalEngine | None) -> PhysicalEngineForm:
        """Return the form that shows an engine, or an empty form."""
        return cls(initial=engine.facts() if engine else None)
