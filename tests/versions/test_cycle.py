"""Test the essential steps on the server of the session and on two packaged servers."""

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
from tests.versions.cycle import ESSENTIAL_STEPS, Cycle

OwnerOn = Callable[[str], ConnectionSpec]


@pytest.fixture
def owner_on() -> Iterator[OwnerOn]:
    """`owner_on(superuser_url)` creates a role that is dropped with its databases after the test."""
    created: list[tuple[str, str]] = []

    def make(superuser_url: str) -> ConnectionSpec:
        # A unique name, because other tests of this module may use the same server.
        spec = servers.ordinary_owner(superuser_url, f"clinic at night {uuid.uuid4().hex[:8]}")
        created.append((superuser_url, spec.user))
        return spec

    yield make
    for superuser_url, role in created:
        servers.drop_owner(superuser_url, role)


def run_steps(cycle: Cycle) -> None:
    for step in ESSENTIAL_STEPS:
        step(cycle)
    assert databases_of(cycle.spec) == [cycle.spec.dbname]


def test_all_steps_pass_on_the_server_of_the_session(
    postgres_superuser_url: str, owner_on: OwnerOn, tmp_path: Path
) -> None:
    spec = owner_on(postgres_superuser_url)
    with connect(spec.with_database("postgres"), application_name="test") as session:
        major = session.info.server_version // 10000

    run_steps(Cycle(spec, major, tmp_path))


@pytest.mark.parametrize("major", [16, 18])
def test_all_steps_pass_on_a_packaged_server(major: int, tmp_path: Path) -> None:
    with servers.running(find_postgres(major)) as server:
        run_steps(Cycle(servers.ordinary_owner(server.url(), "clinic at night"), major, tmp_path))


def test_a_server_newer_than_every_dump_tool_is_refused(
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
