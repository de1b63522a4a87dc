"""Hooks through which deployments notify and ask higher packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from deployctl.hooks import Hook

if TYPE_CHECKING:
    from checklists.markdown.model import ParsedTemplate
    from checklists.models import Deployment, TemplateVersion
    from checklists.readiness import Blocker, PendingAction
    from deployctl.accounts.models import User
    from deployctl.audit import Actor

deployment_requested: Hook[[TemplateVersion, ParsedTemplate], None] = Hook(
    "deployment_requested", on_error="raise"
)
"""A deployment will be created: `(version, parsed template)`. A handler raises `Refusal` to prevent it.

The deployment has no number yet: a refused one must leave no gap in the numbers that auditors check.
"""

deployment_created: Hook[[Deployment, ParsedTemplate, Actor], None] = Hook(
    "deployment_created", on_error="raise"
)
"""A deployment was created: `(deployment, parsed template, by)`. The parsed template names the gates."""

record_changed: Hook[[Deployment, Actor, str, str], None] = Hook("record_changed", on_error="raise")
"""Recorded content changed: `(deployment, by, what, stage)`.

`what` is a phrase for people (“window moved to …”). `stage` determines the gate that covers the content:
`pre` the first, `deploy` and `post` the second; no gate covers `week`, `ongoing` and `reference`. Window,
team, plan and title count as `pre` until the deployment begins, and as `deploy` from then on.
"""

state_changed: Hook[[Deployment, Actor, str, str], None] = Hook("state_changed", on_error="raise")
"""A deployment changed its state: `(deployment, by, from state, to state)`."""

gate_blockers: Hook[[Mapping[Deployment, str]], Iterable[tuple[Deployment, Blocker]]] = Hook(
    "gate_blockers", on_error="raise"
)
"""Return the blockers of the gates of several deployments, as pairs of deployment and blocker.

The argument maps each deployment to a gate key: `pre`, `post`, or `closure` for closing the deployment.
"""

pending_actions: Hook[[User], Iterable[PendingAction]] = Hook("pending_actions", on_error="raise")
"""Return the pending actions of a user other than items, such as signatures, for the home page."""

signed_gates: Hook[[Deployment], Iterable[str]] = Hook("signed_gates", on_error="raise")
"""Return the keys of the gates that have valid signatures, which a change would make stale."""
