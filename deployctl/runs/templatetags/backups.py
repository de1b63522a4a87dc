"""A template tag that lists the operations on a backup."""

from __future__ import annotations

from typing import Any

from django import template

from deployctl.operations import catalogue
from deployctl.operations.framework.base import PG_DUMP, PGBACKREST
from deployctl.runs.forms.operations import form_for
from deployctl.runs.models import Backup
from deployctl.runs.permissions import may_operate
from deployctl.runs.views.targets import Offer, offer

register = template.Library()

KINDS = {
    PG_DUMP: ("verify", "test_restore", "restore"),
    PGBACKREST: ("physical_verify", "physical_restore_test"),
}


@register.simple_tag(takes_context=True)
def backup_offers(context: dict[str, Any], backup: Backup) -> list[Offer]:
    """Return the operations on a backup with their forms; empty for users who may not operate."""
    is_unavailable = backup.expired_at is not None or backup.target.archived_at is not None
    if is_unavailable or not may_operate(context["request"].user):
        return []
    return [
        offer(
            backup.target,
            operation,
            form_for(operation)(initial={"backup": backup.name}, auto_id=f"id_{kind}_{backup.pk}_%s"),
        )
        for kind in KINDS[backup.engine]
        if (operation := catalogue().get(kind))
    ]
