"""What higher floors are told about deployments, inside the transaction that changes them.

A listener that raises undoes the change it was told about. Register in an app's `ready`:

    listeners.on_created(make_gates)
    listeners.on_record_change(mark_signatures_stale)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, ParamSpec

if TYPE_CHECKING:
    from checklists.markdown.model import ParsedTemplate
    from checklists.models import Deployment
    from deployctl.audit import Actor

P = ParamSpec("P")


class Occasion(Generic[P]):
    """Something that happens to deployments. Calling it registers a listener, once."""

    def __init__(self) -> None:
        self._listeners: list[Callable[P, object]] = []

    def __call__(self, listener: Callable[P, object]) -> Callable[P, object]:
        """Register; usable as a decorator. Registering the same function again changes nothing."""
        if listener not in self._listeners:
            self._listeners.append(listener)
        return listener

    def forget(self, listener: Callable[P, object]) -> None:
        """Take a listener out again (tests do)."""
        self._listeners.remove(listener)

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every listener, in the order of registration."""
        for listener in self._listeners:
            listener(*args, **kwargs)


on_created: Occasion[[Deployment, ParsedTemplate, Actor]] = Occasion()
"""A deployment was created: `(deployment, parsed template, by)`. The parsed template names the gates."""

on_record_change: Occasion[[Deployment, Actor, str, str]] = Occasion()
"""Recorded content changed: `(deployment, by, what, stage)`.

`what` is a phrase for people (“window moved to …”). `stage` tells which gate covers it: `pre` the first,
`deploy` and `post` the second; `week`, `ongoing` and `reference` are covered by none. Window, team, plan and
title count as `pre` until the deployment begins and as `deploy` from then on.
"""

on_state_change: Occasion[[Deployment, Actor, str, str]] = Occasion()
"""A deployment moved: `(deployment, by, from state, to state)`."""
