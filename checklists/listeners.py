"""What higher floors are told about deployments, inside the transaction that changes them.

A listener that raises undoes the change it was told about. Register in an app's `ready`:

    listeners.on_created(make_gates)
    listeners.on_record_change(mark_signatures_stale)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.occasions import Occasion

if TYPE_CHECKING:
    from checklists.markdown.model import ParsedTemplate
    from checklists.models import Deployment, TemplateVersion
    from deployctl.audit import Actor

on_creating: Occasion[[TemplateVersion, ParsedTemplate]] = Occasion()
"""A deployment is about to be created: `(version, parsed template)`. Who has something against it raises now,
before it has a number: an auditor must not find numbers missing for what was refused."""

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
