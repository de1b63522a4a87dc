"""The hooks of runs and targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from deployctl.audit import Actor
    from deployctl.runs.models import Run, Target

run_claimed: Hook[[Run], None] = Hook("run_claimed", on_error="raise")
"""A worker has claimed a run but not started it. A handler raises `Refusal` or `NotAllowed` to stop it."""

run_ending: Hook[[Run], None] = Hook("run_ending", on_error="raise")
"""A run is about to record its end or a result. Handlers lock the rows that they will change, because the
audit chain must be locked last."""

run_finished: Hook[[Run], None] = Hook("run_finished", on_error="log", isolate=transaction.atomic)
"""A run reached `succeeded`, `failed`, `cancelled`, `interrupted` or `unknown`, or a person decided
the outcome of an unknown run. An exception in a handler is logged, because the run must end anyway;
`checklists.tasks.settle` catches up later."""

target_changed: Hook[[Target, Actor, str], None] = Hook("target_changed", on_error="raise")
"""A target's database, connection, environment or project changed: `(target, by, what)`. Sent before the
audit entry of the change."""
