"""Asking before signatures are withdrawn: a page that was opened before somebody signed did not warn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from checklists import readiness
from checklists.models import Deployment
from deployctl.web.http import posted

# What a form says whose page has warned.
FIELD = "confirm_revocation"


@contextmanager
def locked_if_warned(request: HttpRequest, deployment: Deployment, stage: str) -> Iterator[None]:
    """Hold the deployment while something in it changes, if its signatures allow that or the page warned.

    Args:
        stage: where the change is; see `readiness.signed_stages`.

    Raises:
        Refusal: nothing was changed; the page that tells so warns, and its form may be sent.
    """
    with deployment.locked() as current:
        readiness.require_warning(current, stage, was_warned=is_warned(request))
        yield


def is_warned(request: HttpRequest) -> bool:
    """Whether the page that this form stood on said that signatures would be withdrawn."""
    return bool(posted(request, FIELD))
