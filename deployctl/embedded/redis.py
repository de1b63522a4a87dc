"""The embedded Redis server: on loopback only, password-protected, with all files in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deployctl.embedded import parent_death
from deployctl.embedded.binaries import find_redis
from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.os_account import server_environment
from deployctl.embedded.ports import LOOPBACK, stored_port
from deployctl.embedded.private_files import stored_password, write_private
from deployctl.embedded.server import Server

PROBE_TIMEOUT_S = 2

# The password is in this file because `ps` would show it as an argument. A snapshot every few minutes is
# enough, because lost messages are sent again from the database.
CONFIGURATION = """\
bind {host}
port {port}
protected-mode yes
requirepass "{password}"
daemonize no
dir "{folder}"
dbfilename dump.rdb
appendonly no
save 300 1
stop-writes-on-bgsave-error no
logfile ""
"""


class RedisServer(Server):
    """A Redis server in ``folder``.

    Args:
        folder: for the configuration, the password, the port and the snapshot.
        port: on 127.0.0.1; by default chosen once and reused if free.
        say: called with messages for the user.
    """

    name = "Redis"
    stop_signal = "TERM"

    def __init__(
        self, folder: Path, *, port: int | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(folder, port=port, say=say)
        self._port: int | None = None
        self._password = ""
        self._program = Path()

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known after ``prepare``."""
        if self._port is None:
            raise EmbeddedError("The Redis server has not been prepared yet.")
        return self._port

    def url(self, db: int = 0) -> str:
        """Return the connection URL of one of the server's numbered databases."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/{db}"

    def command(self) -> list[str]:
        """Return the argument list of the server, which runs in the foreground and ends with its parent."""
        argv = [str(self._program), str(self.folder / "redis.conf")]
        return parent_death.command(argv, signal_name=self.stop_signal, environment=server_environment())

    def is_ready(self) -> bool:
        """Return True if the server answers PING, which it doesn't while it loads its snapshot."""
        client = redis.Redis.from_url(
            self.url(),
            socket_timeout=PROBE_TIMEOUT_S,
            socket_connect_timeout=PROBE_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),  # the caller retries
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def discard(self) -> None:
        """Stop the server and delete all its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        self._program = find_redis()
        self._password = stored_password(self.folder / "password")
        self._port = stored_port(self.folder / "port", requested=self._requested_port, server=self.name)
        folder = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        write_private(
            self.folder / "redis.conf",
            CONFIGURATION.format(host=LOOPBACK, port=self._port, password=self._password, folder=folder),
        )
