"""Warnings before a change makes signatures stale.

A page that was loaded before the first signature doesn't show the warning, so its request is refused once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from checklists import readiness
from checklists.models import Deployment
from deployctl.web.http import posted

# The form field that is present if the page showed the warning.
FIELD = "confirm_revocation"


@contextmanager
def locked_if_warned(request: HttpRequest, deployment: Deployment, stage: str) -> Iterator[None]:
    """Lock the deployment for a change that affects no signatures, or about which the page warned.

    Args:
        stage: the stage of the changed content; see `readiness.signed_stages`.

    Raises:
        Refusal: the stage is signed and the page did not warn. The reloaded page does.
    """
    with deployment.locked() as current:
        readiness.require_warning(current, stage, was_warned=is_warned(request))
        yield


def is_warned(request: HttpRequest) -> bool:
    """Return True if the page with the submitted form warned about the signatures."""
    return bool(posted(request, FIELD))
