"""Forms about targets: settings, roles, secrets and the physical engine."""

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
        help_text="Production is changed only by deployments whose first gate is signed, or by two people.",
    )
    connection_reference = forms.CharField(
        max_length=300,
        label="Where the connection URL is kept",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    project_folder = forms.CharField(
        max_length=500,
        required=False,
        label="Project folder",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    description = forms.CharField(max_length=300, required=False, help_text="One line for people.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = " ".join(source.help for source in known_sources().values())
        self.fields["connection_reference"].help_text = f"Never the URL itself. {sources}"
        roots = ", ".join(map(str, settings.DEPLOYCTL_PROJECT_ROOTS)) or "none is allowed yet"
        self.fields[
            "project_folder"
        ].help_text = f"Holds deployctl.toml, migrations and seed. It lies below: {roots}."

    @classmethod
    def of(cls, target: Target, data: Any) -> TargetForm:
        """Return the form for an existing target."""
        return cls(data, initial={name: getattr(target, name) for name in cls.base_fields})


class NewTargetForm(TargetForm):
    """The settings and name of a new target."""

    name = forms.CharField(
        max_length=60,
        help_text="Small letters, digits, - and _. It is part of addresses and backup names, and stays.",
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
    """A role for a target, on the page of a person."""

    target = forms.ModelChoiceField(queryset=Target.objects.filter(archived_at=None))
    role = forms.ChoiceField(choices=Role.choices)


class SecretForm(forms.Form):
    """The reference of a secret that operations need by name."""

    name = forms.RegexField(
        r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z",
        help_text="As the project calls it, such as ADMIN_DEFAULT_PASSWORD.",
        error_messages={"invalid": "Use letters, digits and _, not starting with a digit."},
    )
    reference = forms.CharField(max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reference"].help_text = " ".join(source.help for source in known_sources().values())


class StoredSecretForm(forms.Form):
    """A secret value to be stored encrypted; the page never shows it again."""

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


class PhysicalEngineForm(forms.Form):
    """The pgBackRest stanza of a target."""

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
        """Return the form that shows an engine, or an empty form."""
        return cls(initial=engine.facts() if engine else None)
