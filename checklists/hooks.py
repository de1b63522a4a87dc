"""The hooks of deployments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from checklists.markdown.model import ParsedTemplate
    from checklists.models import Deployment, TemplateVersion
    from checklists.readiness import Blocker, Waiting
    from deployctl.accounts.models import User
    from deployctl.audit import Actor

deployment_requested: Hook[[TemplateVersion, ParsedTemplate], None] = Hook(
    "deployment_requested", on_error="raise"
)
"""Somebody asked for a deployment: `(version, parsed template)`. A handler raises `Refusal` to prevent it. It
has no number yet, because an auditor must not find gaps in the numbers."""

deployment_created: Hook[[Deployment, ParsedTemplate, Actor], None] = Hook(
    "deployment_created", on_error="raise"
)
"""A deployment was created: `(deployment, parsed template, by)`. The parsed template names the gates."""

record_changed: Hook[[Deployment, Actor, str, str], None] = Hook("record_changed", on_error="raise")
"""Recorded content changed: `(deployment, by, what, stage)`.

`what` is a phrase for people (“window moved to …”). `stage` tells which gate covers it: `pre` the first,
`deploy` and `post` the second; `week`, `ongoing` and `reference` are covered by none. Window, team, plan and
title count as `pre` until the deployment begins and as `deploy` from then on.
"""

state_changed: Hook[[Deployment, Actor, str, str], None] = Hook("state_changed", on_error="raise")
"""A deployment changed its state: `(deployment, by, from state, to state)`."""

gate_blockers: Hook[[Mapping[Deployment, str]], Iterable[tuple[Deployment, Blocker]]] = Hook(
    "gate_blockers", on_error="raise"
)
"""Return what blocks the gates of several deployments at once, each blocker beside its deployment.

The argument maps each deployment to the key of a gate: `pre`, `post`, or `closure` for what closing waits
for.
"""

pending_actions: Hook[[User], Iterable[Waiting]] = Hook("pending_actions", on_error="raise")
"""Return what waits for a person besides items, such as a signature, for the home page."""

signed_gates: Hook[[Deployment], Iterable[str]] = Hook("signed_gates", on_error="raise")
"""Return the keys of the gates with a signature that a change would break."""
