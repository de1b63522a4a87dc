"""A real ASGI server process, and a reader of server-sent events."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tests.processes import free_port, is_listening, terminate
from tests.waiting import until

READY_WITHIN_S = 90
ANSWERS_WITHIN_S = 60


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: Any
    identifier: str


class Stream:
    """An open event stream, as a context manager."""

    def __init__(
        self, port: int, path: str, headers: Mapping[str, str], *, timeout_s: float = ANSWERS_WITHIN_S
    ) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._connection.request("GET", path, headers=dict(headers))
        self.response = self._connection.getresponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # After "Connection: close", only the response holds the socket.
        self.response.close()
        self._connection.close()

    def line(self) -> str:
        """Return the next line, "" at the end."""
        return self.response.readline().decode().rstrip("\n")

    def events(self) -> Iterator[Event]:
        """Yield events as they arrive, without comments."""
        fields: dict[str, str] = {}
        while raw := self.response.readline():
            line = raw.decode().rstrip("\n")
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif not line and "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
                fields = {}

    def next(self, name: str) -> Event:
        """Return the next event with a name."""
        return next(event for event in self.events() if event.name == name)


@contextmanager
def running(
    environment: Mapping[str, str], *, application: str = "deployctl.asgi:application"
) -> Iterator[int]:
    """Run uvicorn on a free port, and yield the port."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--lifespan", "off"]
    argv += ["--log-level", "warning", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen(argv, env=dict(environment))
    try:
        until(lambda: is_listening(process, port), READY_WITHIN_S)
        yield port
    finally:
        terminate(process)
