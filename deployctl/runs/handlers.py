"""The handlers that runs connect to hooks."""

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
def recognise_target(run: Run) -> None:
    """Record the database that the connection test of a target saw, unless another was recorded before."""
    if run.kind == CONNECT and run.state == RunState.SUCCEEDED and run.facts.get("database_oid"):
        run.target.check_identity(run.facts.get("system_identifier") or "", run.facts["database_oid"])


@channel_permission.connect
def may_watch(user: Any, kind: str, key: str) -> bool:
    """Return True if a person may see the run, the target or the lists of which a channel reports changes."""
    match kind:
        case "run":
            return Run.objects.visible_to(user).filter(pk=row_number(key)).exists()
        case "target":
            return Target.objects.visible_to(user).filter(name=key).exists()
        case "home":
            return may_see(user)
    return False
