"""The essential way to production and back, on the session's server and the two that packages bring."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployctl.embedded.binaries import find_postgres
from deployctl.operations.kinds.backup import Backup
from deployctl.postgres import tools
from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.tools import ToolMissing
from tests.operations.restores import databases_of
from tests.versions import servers
from tests.versions.cycle import ESSENTIAL, Cycle

OwnerOn = Callable[[str], ConnectionSpec]


@pytest.fixture
def owner_on() -> Iterator[OwnerOn]:
    """`owner_on(superuser_url)`: a role that is dropped afterwards with what it made."""
    made: list[tuple[str, str]] = []

    def make(superuser_url: str) -> ConnectionSpec:
        # Of its own, for other tests of this file may use the same server at the same time.
        spec = servers.ordinary_owner(superuser_url, f"clinic at night {uuid.uuid4().hex[:8]}")
        made.append((superuser_url, spec.user))
        return spec

    yield make
    for superuser_url, role in made:
        servers.drop_owner(superuser_url, role)


def go_through(cycle: Cycle) -> None:
    for step in ESSENTIAL:
        step(cycle)
    assert databases_of(cycle.spec) == [cycle.spec.dbname]


def test_the_server_of_the_session_carries_the_cycle(
    postgres_superuser_url: str, owner_on: OwnerOn, tmp_path: Path
) -> None:
    spec = owner_on(postgres_superuser_url)
    with connect(spec.with_database("postgres"), application_name="test") as session:
        major = session.info.server_version // 10000

    go_through(Cycle(spec, major, tmp_path))


@pytest.mark.parametrize("major", [16, 18])
def test_a_packaged_server_carries_the_cycle(major: int, tmp_path: Path) -> None:
    with servers.running(find_postgres(major)) as server:
        go_through(Cycle(servers.ordinary_owner(server.url(), "clinic at night"), major, tmp_path))


def test_a_server_newer_than_every_tool_is_refused_before_anything_is_written(
    postgres_superuser_url: str, owner_on: OwnerOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle = Cycle(owner_on(postgres_superuser_url), 0, tmp_path)
    cycle.createdb()
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    old.chmod(0o755)
    monkeypatch.setattr(tools, "folders", lambda: [tmp_path])

    with pytest.raises(
        ToolMissing, match=r"The server is PostgreSQL \d\d, but the newest pg_dump .*9\.6\.24"
    ):
        cycle.perform(Backup)

    assert list((tmp_path / "backups").iterdir()) == []
