"""Ports on the loopback address: is one free, and which one did we use last time?"""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError, PortTaken
from deployctl.embedded.private_files import write_private

LOOPBACK = "127.0.0.1"

# Below 32768, where Linux begins to hand out ports to outgoing connections (ip_local_port_range): a
# remembered port is then not taken at random by somebody's client the next time.
FIRST_PORT, LAST_PORT = 20_000, 32_767
ATTEMPTS = 50


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def stored_port(path: Path, *, wanted: int | None, what: str) -> int:
    """Return the port for ``what``: the wanted one, else the one kept in ``path`` while free, else a new one.

    Raises:
        PortTaken: when a port was asked for and something else listens there.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise PortTaken(
                f"Port {wanted} on {LOOPBACK}, meant for {what}, is taken by another program. Nothing was "
                "started. Stop that program or choose another port."
            )
        return wanted
    with suppress(FileNotFoundError, ValueError):
        known = int(path.read_text(encoding="ascii"))
        if is_free(known):
            return known
    chosen = _any_free_port(what)
    write_private(path, f"{chosen}\n")
    return chosen


def _any_free_port(what: str) -> int:
    for _ in range(ATTEMPTS):
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
        if is_free(port):
            return port
    raise EmbeddedError(
        f"No free port for {what} was found between {FIRST_PORT} and {LAST_PORT} on {LOOPBACK}. Nothing was "
        "started."
    )
