"""The audit chain: who did what to what, when; append-only, each entry sealed with the hash of the last.

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
    # Models can only be imported once Django's apps are loaded, and this module is imported before that.
    from deployctl.audit.models import Entry

    return Entry.objects.append(action, by=by, subject=subject, deployment_id=deployment_id, data=data)


def verify(*expected: Head) -> VerificationResult:
    """Read the whole chain back; see `deployctl.audit.verification.verify`."""
    from deployctl.audit import verification

    return verification.verify(*expected)
