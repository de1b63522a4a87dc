"""The filter of the history."""

from __future__ import annotations

from typing import Any

from django import forms

from checklists.models import DeploymentState
from checklists.models.deployment_queries import DeploymentQuerySet
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from deployctl.web.date_fields import IsoDateField, validate_period


class HistoryForm(forms.Form):
    """Which deployments of the past to show; everything is optional."""

    target = forms.ModelChoiceField(
        queryset=Target.objects.none(), to_field_name="name", required=False, empty_label="All targets"
    )
    since = IsoDateField(label="Window from", required=False)
    until = IsoDateField(label="Window until", required=False)
    state = forms.ChoiceField(choices=[("", "All states"), *DeploymentState.choices], required=False)
    person = forms.ModelChoiceField(queryset=User.objects.none(), required=False, empty_label="Everybody")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Offer what this person may see."""
        super().__init__(*args, **kwargs)
        self.fields["target"].queryset = Target.objects.visible_to(user)  # type: ignore[attr-defined]
        self.fields["person"].queryset = User.objects.all()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        cleaned = super().clean() or self.cleaned_data
        validate_period(self)
        return cleaned

    def narrow(self, found: DeploymentQuerySet) -> DeploymentQuerySet:
        """Leave out what the filter does not let through; a filter with errors lets nothing through."""
        if not self.is_valid():
            return found.none()
        given = self.cleaned_data
        if given["target"]:
            found = found.filter(target=given["target"])
        if given["state"]:
            found = found.filter(state=given["state"])
        if given["person"]:
            found = found.of_person(given["person"])
        return found.in_period(given["since"], given["until"])
