"""Folders and servers for tests."""

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
    """Return True if a process has ended; a zombie counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can enter, unlike pytest's own if root runs the tests."""
    path = Path(tempfile.mkdtemp(prefix="deployctl-embedded-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_postgres(folder: Path) -> Iterator[Callable[..., PostgresServer]]:
    """Return a function that makes servers, which are stopped and deleted afterwards."""
    servers: list[PostgresServer] = []

    def make(path: Path | None = None, **options: object) -> PostgresServer:
        server = PostgresServer(path or folder / "postgres", settings=QUICK, **options)  # type: ignore[arg-type]
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.discard()


@pytest.fixture
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A Redis server that isn't running yet."""
    server = RedisServer(folder / "redis")
    yield server
    server.discard()
