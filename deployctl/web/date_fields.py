"""A form's fields for days."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

WRITTEN = "%Y-%m-%d"
# Days of which the next one still has a date, in every zone.
PLAUSIBLE = [MinValueValidator(dt.date(2000, 1, 1)), MaxValueValidator(dt.date(2999, 12, 31))]


class IsoDateInput(forms.DateInput):
    """The browser's own calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format=WRITTEN)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """A browser shows a calendar empty over what is no date, and what was entered would be lost."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        if not _is_written(context["widget"]["value"]):
            context["widget"]["type"] = "text"
        return context


class IsoDateField(forms.DateField):
    """A day; of what is none it says so, and how a day is written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=IsoDateInput(), validators=PLAUSIBLE, **options)

    def to_python(self, value: Any) -> dt.date | None:
        """The day, or None where nothing was entered."""
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(
                f"“{value}” is no date. Write it as in 2026-12-31.", code="invalid"
            ) from None


def validate_period(form: forms.Form) -> None:
    """Have a form with the fields `since` and `until` say that its period ends before it begins."""
    since, until = form.cleaned_data.get("since"), form.cleaned_data.get("until")
    if since and until and until < since:
        form.add_error("until", "The period ends before it begins.")


def _is_written(text: str | None) -> bool:
    if not text:
        return True
    try:
        day = dt.datetime.strptime(text, WRITTEN)  # noqa: DTZ007 - a day, in no zone
    except ValueError:
        return False
    # Django's field takes 2026-1-5 as well, a browser's calendar does not.
    return day.strftime(WRITTEN) == text
