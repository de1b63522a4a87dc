"""Who wants to know that a run ended, or that it was decided what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from django.db import transaction

from deployctl.occasions import Occasion

if TYPE_CHECKING:
    from deployctl.audit import Actor
    from deployctl.runs.models import Run, Target

on_ending: Occasion[[Run]] = Occasion()
"""A run is about to end: take the locks that this needs, before anything is appended to the audit chain."""

on_target_change: Occasion[[Target, Actor, str]] = Occasion()
"""Another database, connection, environment or project stands behind a target: `(target, by, what)`.

Told inside the transaction that changes the target, before its audit entry.
"""

logger = logging.getLogger(__name__)

_Listener = TypeVar("_Listener", bound="Callable[[Run], object]")
_on_finish: list[Callable[[Run], object]] = []


def on_finish(listener: _Listener) -> _Listener:
    """Have a function called with each run that ends, inside the transaction that ends it.

    Called for `succeeded`, `failed`, `cancelled`, `interrupted` and `unknown`, and once more when a person
    decided an unknown one. May be used as a decorator.
    """
    if listener not in _on_finish:
        _on_finish.append(listener)
    return listener


def tell_finished(run: Run) -> None:
    """Call every listener.

    A defect in one of them undoes what that one did, not the run's own record: a run that cannot be recorded
    would look as if it never ended. Who must not miss an end looks for it again (`checklists.tasks.settle`).
    """
    for listener in _on_finish:
        try:
            with transaction.atomic():
                listener(run)
        except Exception:
            logger.exception("%s failed when %s ended", listener, run)
