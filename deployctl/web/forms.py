"""What forms of every page have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms

from deployctl.errors import DeployctlError, NotAllowed


def add_to_form(form: forms.Form, verb: Callable[[], Any]) -> Any:
    """Call a verb and show its sentence in the form, should it refuse what was given.

    Returns:
        What the verb returned, or None when the form now has an error.
    """
    try:
        return verb()
    except NotAllowed:
        raise
    except DeployctlError as error:
        form.add_error(None, error.message)
        return None
