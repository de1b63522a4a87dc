"""Which period to export evidence of."""

from __future__ import annotations

from django import forms

from deployctl.web.date_fields import IsoDateField


class PeriodForm(forms.Form):
    """Two days, both included."""

    since = IsoDateField(label="From")
    until = IsoDateField(label="To")
