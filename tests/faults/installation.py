"""Start the real processes of an installation: workers, maintenance worker, beat and web processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import requests
from django.conf import settings
from django.test import Client

from deployctl.cli._services import MAINTENANCE_THREADS, celery_worker
from deployctl.runs.models import Run
from tests.web.server import Stream, running

Process = subprocess.Popen[bytes]


class Installation:
    """The processes of an installation on one database and broker, killed at the end.

    Args:
        environment: variables that the processes inherit.
        folder: for the files of the processes.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._deliveries = folder / "deliveries"
        self._folder = folder
        self._environment = environment | {"TEST_DELIVERIES": str(self._deliveries)}
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def worker(self, **transport: float) -> Process:
        """Start a worker for runs.

        Args:
            transport: options for its connection to the broker, see `kombu.transport.redis`.
        """
        # Celery requires a unique name for each worker.
        argv = [sys.executable, "-m", "tests.faults.worker", f"w{uuid.uuid4().hex[:8]}"]
        return self._start(argv, {"TEST_TRANSPORT": json.dumps(transport)})

    def maintenance_worker(self) -> Process:
        """Start the maintenance worker with the arguments of `deployctl up`."""
        return self._start(
            celery_worker("maintenance", queue="maintenance", pool="threads", concurrency=MAINTENANCE_THREADS)
        )

    def beat(self) -> Process:
        """Start Celery beat."""
        argv = [sys.executable, "-m", "celery", "--app", "deployctl.celery:beat", "beat"]
        return self._start([*argv, "--pidfile", "", "--schedule", str(self._folder / "schedule")])

    def web(self) -> int:
        """Start a web process and return its port."""
        # DEBUG serves static files that were not collected.
        environment = self._environment | {"DEBUG": "1"}
        return self._cleanup.enter_context(running(environment, application="tests.faults.web:application"))

    def deliveries(self, run_id: int) -> list[int]:
        """Return the process ID of the receiving worker for each delivery of the run's message."""
        if not self._deliveries.exists():
            return []
        lines = (line.split() for line in self._deliveries.read_text(encoding="ascii").splitlines())
        return [int(worker) for run, worker in lines if int(run) == run_id]

    def _start(self, argv: list[str], more: dict[str, str] | None = None) -> Process:
        process = subprocess.Popen(argv, env=self._environment | (more or {}), start_new_session=True)
        self._cleanup.callback(process.wait)
        self._cleanup.callback(process.kill)
        return process


class BrowserSession(requests.Session):
    """An HTTP client for a real web process, signed in like a browser.

    Args:
        port: of the web process.
        client: a signed-in Django test client, whose session is used.
    """

    def __init__(self, port: int, client: Client) -> None:
        super().__init__()
        self.trust_env = False  # ignore proxy settings
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        token = uuid.uuid4().hex
        self.headers["Cookie"] = (
            f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
        )
        self.headers["X-CSRFToken"] = token

    def fetch(self, path: str, *, stream: bool = False) -> requests.Response:
        """Send a GET request without following redirects."""
        return self.get(self.url + path, allow_redirects=False, timeout=30, stream=stream)

    def submit(self, path: str, **fields: str) -> requests.Response:
        """Send a POST request without following redirects."""
        return self.post(self.url + path, data=fields, allow_redirects=False, timeout=30)

    @property
    def cookie(self) -> dict[str, str]:
        """The headers for `tests.web.server.Stream`."""
        return {"Cookie": str(self.headers["Cookie"])}


class LogReader(threading.Thread):
    """A thread that reads the live log of a run and reconnects like a browser."""

    def __init__(self, browser_session: BrowserSession, run: Run) -> None:
        super().__init__(daemon=True)
        self._session, self._path = browser_session, f"/runs/{run.pk}/stream"
        self.texts: list[str] = []
        self.end = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join(30)
        assert not self.is_alive(), "the stream did not end"

    @property
    def numbers(self) -> list[int]:
        """The numbers that the operation printed, in the order received."""
        return [int(text) for text in self.texts if text.isdecimal()]

    def run(self) -> None:
        last = ""
        while not self.end:
            headers = self._session.cookie | ({"Last-Event-ID": last} if last else {})
            with Stream(self._session.port, self._path, headers, timeout_s=40) as stream:
                for event in stream.events():
                    if event.name == "end":
                        self.end = event.data["state"]
                    elif event.name == "lines":
                        last = event.identifier
                        self.texts += [line["text"] for line in event.data]
