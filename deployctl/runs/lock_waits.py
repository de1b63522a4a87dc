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
    found = _query(run)
    with _lock:
        _seen[name] = time.monotonic(), found
    return found


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
            found = activity.blockers_of_named(session, run.application_name_prefix)
        return LockWaits(_masked(run, spec, found))
    except DeployctlError as error:
        return LockWaits(problem=error.sentence)
    except psycopg.Error as error:
        return LockWaits(problem=f"PostgreSQL reported: {message_of(error)}.")


def _masked(run: Run, spec: ConnectionSpec, found: Sequence[Blocker]) -> list[Blocker]:
    if not found:
        return []
    masker = Masker([spec.password])
    for kept in run.target.secrets.all():
        try:
            masker.add(run.target.secret(kept.name).reveal())
        except DeployctlError:
            hidden = f"hidden, because the secret {kept.name} can't be read and masked"
            return [dataclasses.replace(one, query=one.query and hidden) for one in found]
    return [dataclasses.replace(one, query=one.query and _shown(masker, one.query)) for one in found]


def _shown(masker: Masker, query: str) -> str:
    """Return a statement with its secrets masked, even one that the server cut off."""
    shown = MaskedStream(masker).feed(query)
    return shown if len(shown) == len(query) else f"{shown} …"
