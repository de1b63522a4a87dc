"""Form fields for dates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

ISO_FORMAT = "%Y-%m-%d"
# Within these, the next day is a valid date in every time zone.
DATE_RANGE = [MinValueValidator(dt.date(2000, 1, 1)), MaxValueValidator(dt.date(2999, 12, 31))]


class IsoDateInput(forms.DateInput):
    """A date input, for which browsers show their own calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format=ISO_FORMAT)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Use a text input for an invalid date, because a date input would be empty and lose it."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        if not _is_iso_date(context["widget"]["value"]):
            context["widget"]["type"] = "text"
        return context


class IsoDateField(forms.DateField):
    """A date field whose error message shows the input and the format."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=IsoDateInput(), validators=DATE_RANGE, **options)

    def to_python(self, value: Any) -> dt.date | None:
        """Return the date, or None for an empty input."""
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(f"“{value}” isn't a valid date. Use YYYY-MM-DD.", code="invalid") from None


def validate_period(form: forms.Form) -> None:
    """Add an error to a form with the fields `since` and `until` if the period ends before it starts."""
    since, until = form.cleaned_data.get("since"), form.cleaned_data.get("until")
    if since and until and until < since:
        form.add_error("until", "The end date must not be before the start date.")


def _is_iso_date(text: str | None) -> bool:
    if not text:
        return True
    try:
        day = dt.datetime.strptime(text, ISO_FORMAT)  # noqa: DTZ007 - a date without a time zone
    except ValueError:
        return False
    # Django's field also accepts 2026-1-5, but a browser's date input does not.
    return day.strftime(ISO_FORMAT) == text
