"""Two deployments that want the same target at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection

from deployctl.errors import Refusal

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment

# "wind" in ASCII: no other pair of advisory locks of the product begins with this number.
WINDOWS_LOCK = 0x77696E64


def refuse_overlap(deployment: Deployment) -> None:
    """Have the windows of its target to oneself until the transaction ends, and look who is in the way.

    Asked before the row is written. The database's constraint, which stands behind this, would refuse a new
    deployment only when its number is used up, and an auditor asks what the missing number was.

    Raises:
        Refusal: another deployment of the target holds the window.
    """
    if not deployment.holds_window:
        return
    target = deployment.target
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [WINDOWS_LOCK, target.pk])
    others = type(deployment).objects.in_the_way(target, deployment.window)
    if other := others.exclude(pk=deployment.pk).first():
        raise Refusal(
            f"“{other}” holds {target} from {other.window}, and two deployments cannot have the "
            "same target at the same time. Nothing was changed; choose another window for one of them, or "
            "cancel the other one."
        )
