"""The embedded Redis server."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
import redis

from deployctl.embedded.redis import RedisServer


def test_a_second_start_reuses_port_and_password(redis_server: RedisServer) -> None:
    with redis_server:
        url = redis_server.url()
    with RedisServer(redis_server.folder) as again:
        assert again.url() == url


def test_it_requires_a_password_that_is_not_in_its_arguments(redis_server: RedisServer) -> None:
    with redis_server, redis.Redis(port=redis_server.port) as client:
        with pytest.raises(redis.AuthenticationError):
            client.set("key", "value")
        password = (redis_server.folder / "password").read_text().strip()
        assert password not in "".join(psutil.Process(redis_server.pid).cmdline())
        assert {one.laddr.ip for one in psutil.Process(redis_server.pid).net_connections()} == {"127.0.0.1"}


def test_it_restarts_after_a_crash(redis_server: RedisServer) -> None:
    redis_server.start()
    os.kill(redis_server.pid, signal.SIGKILL)
    redis_server.stop()
    with redis_server:
        assert redis_server.is_ready()


def test_a_folder_with_a_space_and_a_quote_works(redis_server: RedisServer) -> None:
    server = RedisServer(redis_server.folder / 'my "own" folder')
    with server, redis.Redis.from_url(server.url()) as client:
        client.set("key", "value")
        client.save()
        assert (server.folder / "dump.rdb").exists()
