"""Handlers that the runs package connects to hooks."""

from __future__ import annotations

from typing import Any

from deployctl.runs.hooks import run_finished
from deployctl.runs.models import Run, RunState, StoredSecret, Target
from deployctl.runs.permissions import may_see
from deployctl.secrets.hooks import stored_secret
from deployctl.web.hooks import channel_permission
from deployctl.web.http import row_number

CONNECT = "connect"

stored_secret.connect(StoredSecret.read)


@run_finished.connect
def record_identity(run: Run) -> None:
    """Record the target's identity after a successful connection test, unless one is recorded already."""
    if run.kind == CONNECT and run.state == RunState.SUCCEEDED and run.facts.get("database_oid"):
        run.target.check_identity(run.facts.get("system_identifier") or "", run.facts["database_oid"])


@channel_permission.connect
def may_watch(user: Any, kind: str, key: str) -> bool:
    """Return True if a user may see the run, the target or the lists that a channel reports on."""
    match kind:
        case "run":
            return Run.objects.visible_to(user).filter(pk=row_number(key)).exists()
        case "target":
            return Target.objects.visible_to(user).filter(name=key).exists()
        case "home":
            return may_see(user)
    return False
