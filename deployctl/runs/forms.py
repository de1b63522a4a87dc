"""Forms: made from what operations declare, and for targets."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings

from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.operations.base import Operation
from deployctl.operations.parameters import Parameter, parameters_of
from deployctl.runs.models import Environment, RunState, Target
from deployctl.secrets import known_sources


def form_for(operation: type[Operation]) -> type[forms.Form]:
    """A form class with one field per parameter of an operation; what it cleans, `Run.request` takes."""
    fields = {parameter.name: _field(parameter) for parameter in parameters_of(operation.Params)}
    return cast("type[forms.Form]", type(f"{operation.__name__}Form", (forms.Form,), fields))


def _field(parameter: Parameter) -> forms.Field:
    common: dict[str, Any] = {
        "label": parameter.label,
        "help_text": parameter.help,
        "initial": parameter.default,
        "required": parameter.required,
    }
    if parameter.type is bool:
        return forms.BooleanField(**{**common, "required": False})
    if parameter.type is int:
        # A number left out takes the default, which is shown; required keeps it from being None.
        common["required"] = True
        return forms.IntegerField(min_value=parameter.minimum, max_value=parameter.maximum, **common)
    if parameter.choices:
        return forms.ChoiceField(choices=[(choice, choice) for choice in parameter.choices], **common)
    return forms.CharField(min_length=parameter.minimum, max_length=parameter.maximum or 2000, **common)


class TargetForm(forms.Form):
    """A target, without its name, which is given once."""

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
        """The form for an existing target."""
        return cls(data, initial={name: getattr(target, name) for name in cls.base_fields})


class NewTargetForm(TargetForm):
    """A target to be added."""

    name = forms.CharField(
        max_length=60,
        help_text="Small letters, digits, - and _. It is part of addresses and backup names, and stays.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True}),
    )
    field_order = ("name",)


class RoleForm(forms.Form):
    """A person's part for a target."""

    user = forms.ModelChoiceField(queryset=User.objects.none(), label="Person")
    role = forms.ChoiceField(choices=Role.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = cast("forms.ModelChoiceField[User]", self.fields["user"])
        people.queryset = User.objects.filter(is_active=True)


class PersonRoleForm(forms.Form):
    """A target, and a part for it, for a person who is known already."""

    target = forms.ModelChoiceField(queryset=Target.objects.filter(archived_at=None))
    role = forms.ChoiceField(choices=Role.choices)


class SecretForm(forms.Form):
    """Where a secret is kept that operations ask for by name."""

    name = forms.RegexField(
        r"\A[A-Za-z_][A-Za-z0-9_]{0,99}\Z",
        help_text="As the project calls it, such as ADMIN_DEFAULT_PASSWORD.",
        error_messages={"invalid": "Use letters, digits and _, not starting with a digit."},
    )
    reference = forms.CharField(max_length=300)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reference"].help_text = " ".join(source.help for source in known_sources().values())


class DecisionForm(forms.Form):
    """What became of a run whose worker was lost."""

    outcome = forms.ChoiceField(
        choices=[
            (RunState.SUCCEEDED.value, "It was done: the target is as it should be"),
            (RunState.FAILED.value, "It was not done, or only in part"),
        ],
        widget=forms.RadioSelect,
        label="What did you find?",
    )
    note = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=4000,
        label="What did you look at?",
        help_text="The record keeps it, with your name.",
    )
