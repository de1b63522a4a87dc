"""Which period to export evidence of."""

from __future__ import annotations

from django import forms

from deployctl.accounts.forms import PLAUSIBLE


class PeriodForm(forms.Form):
    """Two days, both included."""

    since = forms.DateField(
        label="From", widget=forms.DateInput(attrs={"type": "date"}), validators=PLAUSIBLE
    )
    until = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}), validators=PLAUSIBLE)
