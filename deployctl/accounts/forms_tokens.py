"""What an administrator says of a new API token."""

from __future__ import annotations

from django import forms

from deployctl.accounts.models.api_token import LONGEST_DAYS, Scope


class NewTokenForm(forms.Form):
    """A token to make."""

    name = forms.CharField(max_length=100, help_text="What uses it, such as the pipeline of a repository.")
    scopes = forms.MultipleChoiceField(
        label="It may", choices=Scope.choices, widget=forms.CheckboxSelectMultiple
    )
    days = forms.IntegerField(label="Works for (days)", min_value=1, max_value=LONGEST_DAYS, initial=90)
