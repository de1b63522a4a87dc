"""Which period to export evidence of."""

from __future__ import annotations

from django import forms

from deployctl.web.days import DayField


class PeriodForm(forms.Form):
    """Two days, both included."""

    since = DayField(label="From")
    until = DayField(label="To")
