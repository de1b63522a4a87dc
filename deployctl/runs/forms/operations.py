"""Forms for the parameters of operations and for the decision on a lost run."""

from __future__ import annotations

from typing import Any, cast

from django import forms

from deployctl.operations.framework.base import Operation
from deployctl.operations.framework.parameters import Parameter, parameters_of
from deployctl.runs.models import RunState


def form_for(operation: type[Operation]) -> type[forms.Form]:
    """Return a form class whose cleaned data are the parameters of an operation, for `Run.request`."""
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
        # Required: a missing number would become None, not the default that the form shows.
        common["required"] = True
        return forms.IntegerField(min_value=parameter.minimum, max_value=parameter.maximum, **common)
    if parameter.choices:
        return forms.ChoiceField(choices=[(choice, choice) for choice in parameter.choices], **common)
    return forms.CharField(min_length=parameter.minimum, max_length=parameter.maximum or 2000, **common)


class DecisionForm(forms.Form):
    """The decision of a person on a run whose worker was lost."""

    outcome = forms.ChoiceField(
        choices=[
            (RunState.SUCCEEDED.value, "It succeeded: the target is as it should be"),
            (RunState.FAILED.value, "It failed, or was only partly done"),
        ],
        widget=forms.RadioSelect,
        label="Outcome",
    )
    note = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=4000,
        label="What did you check?",
        help_text="This note is recorded with your name.",
    )
