"""Folders for servers of a test's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deployctl.embedded.postgres import PostgresServer
from deployctl.embedded.redis import RedisServer

QUICK = {"fsync": "off"}


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for by its parent or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can enter, unlike pytest's own when root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="deployctl-embedded-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_postgres(folder: Path) -> Iterator[Callable[..., PostgresServer]]:
    """A factory of servers that are stopped and deleted afterwards."""
    made: list[PostgresServer] = []

    def make(where: Path | None = None, **options: object) -> PostgresServer:
        server = PostgresServer(where or folder / "postgres", settings=QUICK, **options)  # type: ignore[arg-type]
        made.append(server)
        return server

    yield make
    for server in made:
        server.discard()


@pytest.fixture
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A Redis server that is not started yet."""
    server = RedisServer(folder / "redis")
    yield server
    server.discard()
