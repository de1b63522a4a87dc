"""Servers that tests start as processes of their own: on which port, and how they end."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

from deployctl.embedded.ports import is_free

# Neither where Linux takes the ports of outgoing connections from, nor where the product takes its own: what
# is free now would else be somebody's by the time the server binds it.
PORTS = range(10_000, 20_000)
GONE_WITHIN_S = 60


def free_port() -> int:
    """A port on loopback that nobody listens at, and that no other test of this session is given."""
    given = Path(os.environ["TEST_FOLDER"]) / "ports"
    given.mkdir(exist_ok=True)
    # Not the seeded generator: sessions beside this one would draw the same ports.
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        try:
            (given / str(port)).touch(exist_ok=False)
        except FileExistsError:
            continue
        if is_free(port):
            return port
    raise AssertionError("No port is free.")


def listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether a server that was started takes connections by now; fails when it has ended instead."""
    assert process.poll() is None, f"the server on port {port} ended"
    with socket.socket() as knocking:
        return knocking.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see to it that it has ended."""
    process.terminate()
    try:
        process.wait(GONE_WITHIN_S)
    finally:
        process.kill()
        process.wait()
