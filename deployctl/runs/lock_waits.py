"""Find the sessions whose locks a run waits for."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from deployctl.errors import DeployctlError
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.queries import activity
from deployctl.postgres.queries.activity import Blocker
from deployctl.postgres.short_session import short_session
from deployctl.runs.execution.masking import MaskedStream, Masker
from deployctl.runs.models import Run

STATEMENT_TIMEOUT_S = 2
WITHIN_S = 10.0
# This process queries the target at most once in this time, however many people watch.
KEPT_FOR_S = 2.0

_lock = threading.Lock()
_seen: dict[str, tuple[float, LockWaits]] = {}


@dataclass(frozen=True)
class LockWaits:
    """The sessions that block a run; `problem` is the reason if they could not be read."""

    blockers: Sequence[Blocker] = ()
    problem: str = ""


def find(run: Run) -> LockWaits:
    """Return the sessions that block a run now, or did up to 2 s ago. Never raises.

    Statements of other sessions are shown with the target's secrets masked.
    """
    name, now = run.application_name, time.monotonic()
    with _lock:
        for stale in [key for key, (at, _) in _seen.items() if now - at > KEPT_FOR_S]:
            del _seen[stale]
        if name in _seen:
            return _seen[name][1]
        _seen[name] = now, LockWaits()  # other requests meanwhile do not query the target
    waits = _query(run)
    with _lock:
        _seen[name] = time.monotonic(), waits
    return waits


def _query(run: Run) -> LockWaits:
    try:
        spec = run.target.spec()
        with short_session(
            spec,
            within_s=WITHIN_S,
            application_name="deployctl lock waits",
            statement_timeout_s=STATEMENT_TIMEOUT_S,
            read_only=True,
        ) as session:
            blockers = activity.blockers_of_named(session, run.application_name_prefix)
        return LockWaits(_masked(run, spec, blockers))
    except DeployctlError as error:
        return LockWaits(problem=error.message)
    except psycopg.Error as error:
        return LockWaits(problem=f"PostgreSQL reported: {message_of(error)}.")


def _masked(run: Run, spec: ConnectionSpec, blockers: Sequence[Blocker]) -> list[Blocker]:
    if not blockers:
        return []
    masker = Masker([spec.password])
    for secret in run.target.secrets.all():
        try:
            masker.add(run.target.secret(secret.name).reveal())
        except DeployctlError:
            hidden = f"hidden, because the secret {secret.name} can't be read and masked"
            return [dataclasses.replace(blocker, query=blocker.query and hidden) for blocker in blockers]
    return [
        dataclasses.replace(blocker, query=blocker.query and _shown(masker, blocker.query))
        for blocker in blockers
    ]


def _shown(masker: Masker, query: str) -> str:
    """Return a statement with its secrets masked, even if the server truncated it."""
    shown = MaskedStream(masker).feed(query)
    return shown if len(shown) == len(query) else f"{shown} …"
