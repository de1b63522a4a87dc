"""Gates on a deployment's page; templates may look up a floor where Python may not."""

from __future__ import annotations

from typing import Any

from django import template

from checklists.models import Deployment
from deployctl.accounts.roles import Role
from signoff import labels, presenters

register = template.Library()


@register.inclusion_tag("signoff/_gates.html", takes_context=True)
def gates(context: template.Context, deployment: Deployment) -> dict[str, Any]:
    """The deployment's gates with their signature lines, as the viewer sees them."""
    viewer = context["request"].user
    return {"views": presenters.gates_of(deployment, viewer), "deployment": deployment}


@register.filter
def role_name(role: str) -> str:
    """A role's name as people say it; a word that is no role stays as it is."""
    return str(dict(Role.choices).get(role, role))


@register.filter
def record_value(value: object, key: str) -> str:
    """A value of a record as people write it.

    Args:
        key: under which it stands in the record.
    """
    return labels.format_value(key, value)
