"""Two deployments that want the same target at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from deployctl.errors import Refusal

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment


@contextmanager
def alone_in_window(deployment: Deployment) -> Iterator[None]:
    """Write a deployment's window; where the database refuses an overlap, say whose window it is.

    Raises:
        Refusal: another deployment of the target holds the window; nothing was written.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        others = type(deployment).objects.in_the_way(deployment.target, deployment.window)
        other = others.exclude(pk=deployment.pk).first()
        if other is None:
            raise
        raise Refusal(
            f"“{other}” holds {deployment.target} from {other.window}, and two deployments cannot have the "
            "same target at the same time. Nothing was changed; choose another window for one of them, or "
            "cancel the other one."
        ) from error
