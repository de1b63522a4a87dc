"""The filter of the audit log."""

from __future__ import annotations

from typing import Any

from django import forms

from deployctl.accounts.models import User
from deployctl.audit import Action
from deployctl.runs.models import Target
from deployctl.web.date_fields import IsoDateField, validate_period


class EntryFilterForm(forms.Form):
    """The conditions on audit entries, all of which must hold; kept in the page's URL."""

    action = forms.ChoiceField(required=False)
    person = forms.ModelChoiceField(User.objects.all(), required=False, empty_label="Anybody")
    target = forms.ModelChoiceField(
        Target.objects.all(), required=False, empty_label="Any target", to_field_name="name"
    )
    deployment = forms.IntegerField(required=False, min_value=1, label="Deployment number")
    subject = forms.CharField(required=False, max_length=100, help_text="Part of its name.")
    since = IsoDateField(required=False, label="From")
    until = IsoDateField(required=False, label="To")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        actions = sorted(str(action) for action in Action)
        nouns = sorted({action.partition(".")[0] for action in actions})
        self.fields["action"] = forms.ChoiceField(
            required=False,
            choices=[
                ("", "Anything"),
                ("By kind", [(f"{noun}.", noun.replace("_", " ").capitalize()) for noun in nouns]),
                ("Exactly", [(action, action) for action in actions]),
            ],
        )

    def clean(self) -> dict[str, Any]:
        """Reject a period that ends before it begins."""
        cleaned = super().clean() or self.cleaned_data
        validate_period(self)
        return cleaned

    def as_text(self) -> dict[str, str]:
        """Return the conditions as text, for the audit entry of an export."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}
