"""What a run tells of which database a target is."""

from __future__ import annotations

from deployctl.runs import listeners
from deployctl.runs.models import Run, RunState

LOOKS = "connect"


@listeners.on_finish
def recognise_from_run(run: Run) -> None:
    """Take over what the operation that looks at the connection saw, where nobody had looked before."""
    if run.kind == LOOKS and run.state == RunState.SUCCEEDED and run.facts.get("database_oid"):
        run.target.recognise(run.facts.get("system_identifier") or "", run.facts["database_oid"])
