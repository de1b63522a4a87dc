"""Template tags that show gates and records. Templates of lower packages use them, too."""

from __future__ import annotations

from typing import Any

from django import template

from checklists.models import Deployment
from deployctl.accounts.roles import Role
from signoff import labels, presenters

register = template.Library()


@register.inclusion_tag("signoff/_gates.html", takes_context=True)
def gates(context: template.Context, deployment: Deployment) -> dict[str, Any]:
    """Return the context of a deployment's gates with their signatures, for the viewer."""
    viewer = context["request"].user
    return {"views": presenters.gates_of(deployment, viewer), "deployment": deployment}


@register.filter
def role_name(role: str) -> str:
    """Return the name of a role; any other text unchanged."""
    return str(dict(Role.choices).get(role, role))


@register.filter
def record_value(value: object, key: str) -> str:
    """Return a value of a record as text.

    Args:
        key: the key of the value in the record.
    """
    return labels.format_value(key, value)
