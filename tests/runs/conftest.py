"""Fixtures: targets with a real database, and small test operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployctl.audit import Machine
from deployctl.operations.framework.registry import OPERATIONS
from deployctl.runs.execution import supervisor
from deployctl.runs.models import Run, Target
from tests.runs import operations

SYSTEM = Machine("test")


def call_once(write: Callable[[], Any]) -> Any:
    """Call `write` once, for a `RunBackupCatalog` that need not retry."""
    return write()


@pytest.fixture
def kinds() -> Iterator[None]:
    with OPERATIONS.extended(*operations.KINDS.values()):
        yield


@pytest.fixture
def add_target(make_database: Callable[..., str], secret_file: Callable[[str], str]) -> Callable[..., Target]:
    """Return `add_target(name, environment="staging")`, which adds a target with its own database.

    The test must also use the fixture `db`. Further arguments are those of `make_database`.
    """

    def add(
        name: str = "shop",
        environment: str = "staging",
        project_folder: str = "",
        database: str | None = None,
        **owner: Any,
    ) -> Target:
        return Target.add(
            name=name,
            environment=environment,
            connection_reference=secret_file(make_database(database, **owner)),
            project_folder=project_folder,
            by=SYSTEM,
        )

    return add


@pytest.fixture
def target(db: Any, kinds: None, add_target: Callable[..., Target]) -> Target:
    """Return a target for tests in a transaction, which execute no run."""
    return add_target()


@pytest.fixture
def real_target(committed_db: Any, kinds: None, add_target: Callable[..., Target]) -> Target:
    """Return a target for tests with threads and workers."""
    return add_target()


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Return `executed(target, kind, **params)`, which requests a run and executes it in this process."""
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)

    def execute(target: Target, kind: str, **params: Any) -> Run:
        run = Run.request(target=target, kind=kind, params=params, by=SYSTEM, typed_name=target.name)
        supervisor.execute(run.pk)
        run.refresh_from_db()
        return run

    return execute
