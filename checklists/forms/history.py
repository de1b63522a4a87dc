"""The filter form of the history."""

from __future__ import annotations

from typing import Any

from django import forms

from checklists.models import DeploymentState
from checklists.models.deployment_queries import DeploymentQuerySet
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from deployctl.web.date_fields import IsoDateField, validate_period


class HistoryForm(forms.Form):
    """A filter for deployments; all fields are optional."""

    target = forms.ModelChoiceField(
        queryset=Target.objects.none(), to_field_name="name", required=False, empty_label="All targets"
    )
    since = IsoDateField(label="Window from", required=False)
    until = IsoDateField(label="Window until", required=False)
    state = forms.ChoiceField(choices=[("", "All states"), *DeploymentState.choices], required=False)
    person = forms.ModelChoiceField(queryset=User.objects.none(), required=False, empty_label="All people")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Limit the choices to what the user can see."""
        super().__init__(*args, **kwargs)
        self.fields["target"].queryset = Target.objects.visible_to(user)  # type: ignore[attr-defined]
        self.fields["person"].queryset = User.objects.all()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Reject a period that ends before it starts."""
        cleaned = super().clean() or self.cleaned_data
        validate_period(self)
        return cleaned

    def apply(self, deployments: DeploymentQuerySet) -> DeploymentQuerySet:
        """Return the deployments that match; none if the filter is invalid."""
        if not self.is_valid():
            return deployments.none()
        filters = self.cleaned_data
        if filters["target"]:
            deployments = deployments.filter(target=filters["target"])
        if filters["state"]:
            deployments = deployments.filter(state=filters["state"])
        if filters["person"]:
            deployments = deployments.of_person(filters["person"])
        return deployments.in_period(filters["since"], filters["until"])
