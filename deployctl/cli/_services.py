"""The programs of `deployctl up`: start order, readiness checks and shutdown."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from deployctl.embedded import parent_death
from deployctl.embedded.errors import EmbeddedError, PortTaken
from deployctl.embedded.installation import Installation
from deployctl.embedded.manager import ProcessManager
from deployctl.embedded.ports import LOOPBACK, is_free
from deployctl.embedded.programs import Program
from deployctl.embedded.supervision import Supervisor, tail

ROOT = Path(__file__).resolve().parent.parent.parent
READY_TIMEOUT_S = 90.0
PROBE_INTERVAL_S = 0.2
CHECK_INTERVAL_S = 0.5
WEB_TIMEOUT_S = 10
MAINTENANCE_THREADS = 2  # the dispatcher continues while the reaper waits for an unresponsive target

# These settings always come from the data folder: a DATABASE_URL left over in the shell must not connect the
# embedded installation to another database.
OWN_SETTINGS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_FIELD_KEY", "DEPLOYCTL_DEMO")


@dataclass(frozen=True)
class UpOptions:
    """The options of `deployctl up`."""

    port: int
    demo: bool
    workers: int
    administrator: str


class Services:
    """The programs of one `deployctl up`.

    Args:
        data: the data folder.
        options: the options of the command.
        say: called with text for the terminal.
    """

    def __init__(self, data: Path, options: UpOptions, *, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._installation = Installation(data, say=say)
        self._manager: ProcessManager | None = None
        self._supervisor: Supervisor | None = None

    @property
    def url(self) -> str:
        """The URL of the web server."""
        return f"http://{LOOPBACK}:{self._options.port}"

    def start(self) -> None:
        """Start everything and show how to sign in.

        Raises:
            EmbeddedError: something could not be started; ``stop`` must be called all the same.
        """
        installation = self._installation
        self._check_preconditions()
        installation.prepare_servers()
        self._manager = ProcessManager(self._programs(), run_folder=installation.run, logs=installation.logs)
        self._supervisor = Supervisor(self._manager, logs=installation.logs, say=self._say)
        self._say(f"Starting in {installation.folder} …")
        self._manager.open(self._environment())

        self._start("postgres", "redis")
        self._wait("postgres", installation.postgres.is_ready)
        self._wait("redis", installation.redis.is_ready)
        installation.ensure_database()
        installation.write_environment(self._settings())
        instructions = self._prepare()
        try:
            self._start_application()
            self._say(f"ready {self.url}")
        finally:
            # Also after a failure, because the temporary passwords are shown only once.
            self._say(instructions)

    def supervise(self) -> None:
        """Check the programs until one keeps failing or the process is stopped.

        Raises:
            RestartLimitReached: a program keeps ending.
        """
        while True:
            self._check_programs()
            time.sleep(CHECK_INTERVAL_S)

    def stop(self) -> None:
        """Stop everything in reverse order, and return when all processes have ended."""
        if self._manager is not None:
            self._manager.close()
        self._installation.close()

    def _start_application(self) -> None:
        self._start("web", "worker", "maintenance", "beat")
        self._wait("web", self._web_is_ready)
        self._wait("worker", lambda: self._has_reported_ready("worker"))
        self._wait("maintenance", lambda: self._has_reported_ready("maintenance"))
        self._wait("beat", lambda: self._has_reported_ready("beat"))

    def _check_preconditions(self) -> None:
        installation = self._installation
        if not installation.folder.exists():
            self._check_port()  # before the folder is created
        installation.open()
        if ProcessManager.end_leftover(installation.run):
            self._say("The previous deployctl was killed. The programs that it left running were stopped.")
        self._check_port()
        self._check_demo()

    def _check_demo(self) -> None:
        folder, known = self._installation.folder, self._installation.read_environment()
        is_demo = known.get("DEPLOYCTL_DEMO") == "1"
        if self._options.demo and known and not is_demo:
            raise EmbeddedError(
                f"{folder} contains an installation without demo data. Nothing was changed. Start it without "
                "--demo (`deployctl up`), or use another folder for the demo (DATA=.deployctl-demo make run)."
            )
        if is_demo and not self._options.demo:
            raise EmbeddedError(
                f"{folder} contains a demo, whose sample users can start operations and sign. Nothing was "
                "changed. Start it with --demo (`make run`), or use another folder for your own installation "
                "(DATA=.deployctl-own make up)."
            )

    def _check_port(self) -> None:
        port = self._options.port
        if not is_free(port):
            raise PortTaken(
                f"Port {port} on {LOOPBACK} is in use by another program. Nothing was started. Stop that "
                f"program, or use another port: PORT={port + 1 if port < 65535 else 8000} make run, or "
                "deployctl up --port."
            )

    def _programs(self) -> list[Program]:
        installation, python = self._installation, sys.executable
        web = [python, "-m", "uvicorn", "deployctl.asgi:application", "--host", LOOPBACK]
        web += ["--port", str(self._options.port), "--lifespan", "off", "--no-server-header"]
        # Connections for live updates stay open; without this limit they would block the shutdown.
        web += ["--timeout-graceful-shutdown", "2"]
        worker = celery_worker("worker", queue="runs", pool="prefork", concurrency=self._options.workers)
        maintenance = celery_worker(
            "maintenance", queue="maintenance", pool="threads", concurrency=MAINTENANCE_THREADS
        )
        beat = [python, "-m", "celery", "--app", "deployctl.celery:beat", "beat", "--loglevel", "INFO"]
        beat += ["--pidfile", "", "--schedule", str(installation.run / "beat-schedule")]
        return [
            Program(
                "postgres",
                installation.postgres.command(),
                installation.postgres.stop_signal,
                10,
                "postgres",
            ),
            Program("redis", installation.redis.command(), installation.redis.stop_signal, 5, "redis"),
            Program("web", parent_death.command(web, signal_name="TERM"), "TERM", 5, "deployctl", ROOT),
            # QUIT gives tasks the seconds of worker_soft_shutdown_timeout. TERM would wait without a limit.
            Program("worker", parent_death.command(worker, signal_name="QUIT"), "QUIT", 8, "deployctl", ROOT),
            Program(
                "maintenance",
                parent_death.command(maintenance, signal_name="QUIT"),
                "QUIT",
                8,
                "deployctl",
                ROOT,
            ),
            Program("beat", parent_death.command(beat, signal_name="TERM"), "TERM", 5, "deployctl", ROOT),
        ]

    def _environment(self) -> dict[str, str]:
        """Return the environment of the programs; they read secrets from the environment file."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name.removesuffix("_FILE") not in OWN_SETTINGS
        }
        # Without cached bytecode, a start takes three times as long.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return inherited | {
            "DEPLOYCTL_DATA": str(self._installation.folder),
            "DJANGO_SETTINGS_MODULE": "deployctl.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def _settings(self) -> dict[str, str]:
        installation = self._installation
        known = installation.read_environment()
        roots = [str(installation.folder / "projects")]
        if self._options.demo:
            roots.append(str(ROOT / "examples"))
        return {
            "DEPLOYCTL_DEMO": "1" if self._options.demo else "0",
            "DEPLOYCTL_PROJECT_ROOTS": known.get("DEPLOYCTL_PROJECT_ROOTS", ",".join(roots)),
            "DEPLOYCTL_SECRET_ROOTS": known.get("DEPLOYCTL_SECRET_ROOTS", str(installation.secrets)),
            "DEPLOYCTL_HEADS": known.get("DEPLOYCTL_HEADS", (installation.folder / "heads").as_uri()),
        }

    def _prepare(self) -> str:
        """Run `deployctl.cli.prepare` and return its instructions for signing in."""
        installation = self._installation
        option = "--demo" if self._options.demo else f"--administrator={self._options.administrator}"
        argv = [sys.executable, "-m", "deployctl.cli.prepare", option]
        # For the demo, which creates its own databases and role on this server.
        environment = self._environment() | {"DEPLOYCTL_EMBEDDED_URL": installation.postgres.url()}
        log = installation.logs / "prepare.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                parent_death.command(argv, signal_name="TERM"),
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                process_group=0,
            )
            try:
                output, _ = process.communicate()
            finally:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise EmbeddedError(
                "The installation could not be prepared, so everything was stopped. The end of "
                f"{log}:\n" + "\n".join(f"  | {line}" for line in tail(log))
            )
        return output.decode("utf-8", "replace").rstrip()

    def _start(self, *names: str) -> None:
        for name in names:
            self._running_manager.start(name)

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            self._check_programs()
            if is_ready():
                return
            if time.monotonic() > deadline:
                log = self._installation.logs / f"{name}.log"
                raise EmbeddedError(
                    f"{name} was not ready within {READY_TIMEOUT_S:g} s, so everything was stopped. The end "
                    f"of {log}:\n" + "\n".join(f"  | {line}" for line in tail(log))
                )
            time.sleep(PROBE_INTERVAL_S)

    def _check_programs(self) -> None:
        if self._supervisor is not None:
            self._supervisor.check()

    def _web_is_ready(self) -> bool:
        # The home page redirects to the sign-in page, which needs the database and a template. http_proxy is
        # ignored, because a proxy can't reach this loopback address.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(self.url, timeout=WEB_TIMEOUT_S):
                return True
        except HTTPError as error:  # a status of 400 or more, or a redirect loop
            error.close()
            return False
        except (OSError, HTTPException):
            return False

    def _has_reported_ready(self, name: str) -> bool:
        # Celery processes have no port. They write their process ID when they are connected
        # (deployctl.celery).
        try:
            pid = int((self._installation.run / f"{name}.ready").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return False
        return any(status.name == name and status.pid == pid for status in self._running_manager.statuses())

    @property
    def _running_manager(self) -> ProcessManager:
        if self._manager is None:
            raise EmbeddedError("Nothing has been started yet.")
        return self._manager


def celery_worker(name: str, *, queue: str, pool: str, concurrency: int) -> list[str]:
    """Return the command line of a worker.

    Args:
        name: its name, also of the file that reports that it is ready (deployctl.celery).
        queue: the queue that it consumes, see `CELERY_TASK_ROUTES`.
        pool: "prefork" for runs, so that each can be killed as a process; else "threads".
        concurrency: number of tasks at the same time.
    """
    argv = [sys.executable, "-m", "celery", "--app", "deployctl.celery:app", "worker"]
    argv += ["--hostname", f"{name}@%h", "--queues", queue, "--pool", pool, "--concurrency", str(concurrency)]
    # Gossip and mingle are for clusters of workers, and add a second to the start.
    return [*argv, "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
