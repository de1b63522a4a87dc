"""The audit log: who did what to which subject, and when. Append-only; each entry contains the previous hash.

from deployctl import audit
audit.append(audit.Action.ITEM_COMPLETED, by=user, subject=item, deployment_id=7, data={"note": note})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor, Machine, Person, actor_name, actor_user

if TYPE_CHECKING:
    from django.db.models import Model

    from deployctl.audit.models import Entry
    from deployctl.audit.verification import Head, VerificationResult

__all__ = ["Action", "Actor", "Machine", "Person", "actor_name", "actor_user", "append", "verify"]


def append(
    action: Action,
    *,
    by: Actor,
    subject: Model | None = None,
    deployment_id: int | None = None,
    data: dict[str, Any] | None = None,
) -> Entry:
    """Append an entry within the caller's transaction; see `Entry.objects.append`."""
    # This module is imported before Django's apps are loaded; models can only be imported afterwards.
    from deployctl.audit.models import Entry

    return Entry.objects.append(action, by=by, subject=subject, deployment_id=deployment_id, data=data)


def verify(*expected: Head) -> VerificationResult:
    """Verify the whole chain; see `deployctl.audit.verification.verify`."""
    from deployctl.audit import verification

    return verification.verify(*expected)
