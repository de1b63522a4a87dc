"""Ports on the loopback address: find a free one and remember it."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError, PortTaken
from deployctl.embedded.private_files import write_private

LOOPBACK = "127.0.0.1"

# Below 32768, where Linux starts to assign ports to outgoing connections (ip_local_port_range), so that a
# remembered port isn't taken by a random client.
FIRST_PORT, LAST_PORT = 20_000, 32_767
ATTEMPTS = 50


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Return True if a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def stored_port(path: Path, *, requested: int | None, server: str) -> int:
    """Return the port for a server: the requested one, else the one in ``path`` if free, else a new one.

    Raises:
        PortTaken: another program listens on the requested port.
    """
    if requested is not None:
        if not is_free(requested):
            raise PortTaken(
                f"Port {requested} on {LOOPBACK}, requested for {server}, is in use by another program. "
                "Nothing was started. Stop that program or choose another port."
            )
        return requested
    with suppress(FileNotFoundError, ValueError):
        stored = int(path.read_text(encoding="ascii"))
        if is_free(stored):
            return stored
    port = _find_free_port(server)
    write_private(path, f"{port}\n")
    return port


def _find_free_port(server: str) -> int:
    for _ in range(ATTEMPTS):
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
        if is_free(port):
            return port
    raise EmbeddedError(
        f"No free port for {server} was found between {FIRST_PORT} and {LAST_PORT} on {LOOPBACK}. Nothing "
        "was started."
    )
