"""Test databases and roles whose names look like options, commands or connection strings."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator

import pytest

from deployctl.postgres.connection import connect
from deployctl.runs.models import Run, RunState, Target
from tests.conftest import Committed
from tests.faults.test_workers import Seen
from tests.operations.restores import databases_of
from tests.temporary_folders import persistent_folder

CYCLE = ("connect", "backup", "verify", "test_restore", "restore", "drop_kept_database")


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A listening socket to which nothing may connect."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.slow(8)
@pytest.mark.fault(22)
@pytest.mark.parametrize(
    "name",
    [
        'with "quotes"',
        "it's 'quoted'",
        " with spaces ",
        "line\nbreak",
        "$(touch {file})`touch {file}`",
        "--host=127.0.0.1 --port={port}",
        "host=127.0.0.1 port={port} dbname=x",
        "postgresql://127.0.0.1:{port}/x",
    ],
)
def test_databases_and_roles_with_hostile_names_pass_the_whole_cycle(
    committed_db: Committed,
    kinds: None,
    add_target: Callable[..., Target],
    executed: Callable[..., Run],
    trap: socket.socket,
    seen: Seen,
    name: str,
) -> None:
    # The path must be short, because a name has at most 63 bytes.
    file = persistent_folder() / uuid.uuid4().hex[:8]
    hostile = name.format(port=trap.getsockname()[1], file=file)
    target = add_target(database=hostile, role=hostile)
    assert target.spec().user.startswith(hostile)
    with connect(target.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT 1 AS n")

    for kind in CYCLE:
        run = executed(target, kind)
        assert run.state == RunState.SUCCEEDED, f"{kind}: {run.summary}"

    assert databases_of(target.spec()) == [hostile]
    assert not file.exists()
    with pytest.raises(BlockingIOError):
        trap.accept()
    seen(f"{name!r}: {len(CYCLE)} operations succeeded, nothing connected to the trap")
