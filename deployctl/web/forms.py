"""Helpers for forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms

from deployctl.errors import DeployctlError, NotAllowed


def add_to_form(form: forms.Form, action: Callable[[], Any]) -> Any:
    """Call a function, and add its error message to the form if it raises one.

    Returns:
        The result of the function, or None if the form has an error now.
    """
    try:
        return action()
    except NotAllowed:
        raise
    except DeployctlError as error:
        form.add_error(None, error.message)
        return None
