"""Helpers for servers that tests start: choose a port, wait for it, terminate the process."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

from deployctl.embedded.ports import is_free

# Outside the ranges from which Linux and the product choose ports, so a port that is free now is still free
# when the server binds it.
PORTS = range(10_000, 20_000)
EXIT_TIMEOUT_S = 60


def free_port() -> int:
    """Return a free port on loopback that no other test of this session uses."""
    reserved = Path(os.environ["TEST_FOLDER"]) / "ports"
    reserved.mkdir(exist_ok=True)
    # Not the seeded generator, which would draw the same ports in parallel sessions.
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        try:
            (reserved / str(port)).touch(exist_ok=False)
        except FileExistsError:
            continue
        if is_free(port):
            return port
    raise AssertionError("No port is free.")


def is_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Return True if a server accepts connections; fail if its process has ended."""
    assert process.poll() is None, f"the server on port {port} ended"
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process; kill it if it doesn't end in time."""
    process.terminate()
    try:
        process.wait(EXIT_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
