"""The processes of an installation, each a real one: workers, what looks after runs, its clock, web pages."""

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
    """Starts processes on one database and broker, and kills them at the end.

    Args:
        environment: that they inherit.
        folder: for their own files.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._deliveries = folder / "deliveries"
        self._folder = folder
        self._environment = environment | {"TEST_DELIVERIES": str(self._deliveries)}
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def worker(self, **transport: float) -> Process:
        """A worker for runs.

        Args:
            transport: options for its connection to the broker, see `kombu.transport.redis`.
        """
        # Of two workers with one name, Celery expects trouble.
        argv = [sys.executable, "-m", "tests.faults.worker", f"w{uuid.uuid4().hex[:8]}"]
        return self._start(argv, {"TEST_TRANSPORT": json.dumps(transport)})

    def upkeep(self) -> Process:
        """The second worker, as `deployctl up` starts it."""
        return self._start(
            celery_worker("maintenance", queue="maintenance", pool="threads", concurrency=MAINTENANCE_THREADS)
        )

    def beat(self) -> Process:
        """The clock, which starts to count now."""
        argv = [sys.executable, "-m", "celery", "--app", "deployctl.celery:beat", "beat"]
        return self._start([*argv, "--pidfile", "", "--schedule", str(self._folder / "schedule")])

    def web(self) -> int:
        """A web process; returns its port."""
        # DEBUG for static files that nobody collected.
        environment = self._environment | {"DEBUG": "1"}
        return self._ending.enter_context(running(environment, application="tests.faults.web:application"))

    def deliveries(self, run_id: int) -> list[int]:
        """To which worker a run's message came, once for each time."""
        if not self._deliveries.exists():
            return []
        lines = (line.split() for line in self._deliveries.read_text(encoding="ascii").splitlines())
        return [int(worker) for run, worker in lines if int(run) == run_id]

    def _start(self, argv: list[str], more: dict[str, str] | None = None) -> Process:
        process = subprocess.Popen(argv, env=self._environment | (more or {}), start_new_session=True)
        self._ending.callback(process.wait)
        self._ending.callback(process.kill)
        return process


class Visitor(requests.Session):
    """A person's browser without its eyes, against a real web process.

    Args:
        port: of the process.
        client: signed in; its session is used.
    """

    def __init__(self, port: int, client: Client) -> None:
        super().__init__()
        self.trust_env = False  # no proxy leads to our loopback address
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        token = uuid.uuid4().hex
        self.headers["Cookie"] = (
            f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
        )
        self.headers["X-CSRFToken"] = token

    def see(self, path: str, *, stream: bool = False) -> requests.Response:
        """GET, without following where it leads."""
        return self.get(self.url + path, allow_redirects=False, timeout=30, stream=stream)

    def press(self, path: str, **fields: str) -> requests.Response:
        """POST, without following where it leads."""
        return self.post(self.url + path, data=fields, allow_redirects=False, timeout=30)

    @property
    def cookie(self) -> dict[str, str]:
        """For `tests.web.server.Stream`."""
        return {"Cookie": str(self.headers["Cookie"])}


class Watcher(threading.Thread):
    """Somebody who has a run's page open: reads its stream, and reconnects as a browser does."""

    def __init__(self, visitor: Visitor, run: Run) -> None:
        super().__init__(daemon=True)
        self._visitor, self._path = visitor, f"/runs/{run.pk}/stream"
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
        """What the operation counted, as it was seen."""
        return [int(text) for text in self.texts if text.isdecimal()]

    def run(self) -> None:
        last = ""
        while not self.end:
            headers = self._visitor.cookie | ({"Last-Event-ID": last} if last else {})
            with Stream(self._visitor.port, self._path, headers, timeout_s=40) as stream:
                for event in stream.events():
                    if event.name == "end":
                        self.end = event.data["state"]
                    elif event.name == "lines":
                        last = event.identifier
                        self.texts += [line["text"] for line in event.data]
