"""Everything that `deployctl up` starts: in which order, how each shows that it is ready, how it all ends."""

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
READY_WITHIN_S = 90.0
PROBE_EVERY_S = 0.2
LOOK_EVERY_S = 0.5
WEB_TIMEOUT_S = 10
UPKEEP_THREADS = 2  # dispatching goes on while a sweep waits for a target that does not answer

# Of these, only what the data folder says counts: a DATABASE_URL left over in somebody's shell must not turn
# the embedded installation against another database.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEPLOYCTL_FIELD_KEY", "DEPLOYCTL_DEMO")


@dataclass(frozen=True)
class UpOptions:
    """What was asked for on the command line."""

    port: int
    demo: bool
    workers: int
    administrator: str


class Services:
    """One `deployctl up`.

    Args:
        data: the data folder.
        choices: what was asked for.
        say: called with text for the terminal.
    """

    def __init__(self, data: Path, choices: UpOptions, *, say: Callable[[str], None]) -> None:
        self._choices = choices
        self._say = say
        self._installation = Installation(data, say=say)
        self._manager: ProcessManager | None = None
        self._watch: Supervisor | None = None

    @property
    def url(self) -> str:
        """Where the web pages are."""
        return f"http://{LOOPBACK}:{self._choices.port}"

    def start(self) -> None:
        """Start everything and say how to sign in.

        Raises:
            EmbeddedError: with a sentence; call ``stop`` all the same.
        """
        here = self._installation
        self._refuse_what_cannot_work()
        here.prepare_servers()
        self._manager = ProcessManager(self._programs(), run_folder=here.run, logs=here.logs)
        self._watch = Supervisor(self._manager, logs=here.logs, say=self._say)
        self._say(f"Starting in {here.folder} …")
        self._manager.open(self._environment())

        self._start("postgres", "redis")
        self._wait("postgres", here.postgres.is_ready)
        self._wait("redis", here.redis.is_ready)
        here.ensure_database()
        here.write_environment(self._settings())
        words = self._prepare()
        try:
            self._start_application()
            self._say(f"ready {self.url}")
        finally:
            self._say(words)  # also when that failed: a first password is told no second time

    def keep(self) -> None:
        """Supervisor over everything, for ever.

        Raises:
            RestartLimitReached: when a program cannot be kept running.
        """
        while True:
            self._look()
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        """Stop everything, last started first; returns when all is gone."""
        if self._manager is not None:
            self._manager.close()
        self._installation.close()

    def _start_application(self) -> None:
        self._start("web", "worker", "upkeep", "beat")
        self._wait("web", self._web_answers)
        self._wait("worker", lambda: self._says_ready("worker"))
        self._wait("upkeep", lambda: self._says_ready("upkeep"))
        self._wait("beat", lambda: self._says_ready("beat"))

    def _refuse_what_cannot_work(self) -> None:
        here = self._installation
        if not here.folder.exists():
            self._refuse_taken_port()  # before a folder is made
        here.open()
        if ProcessManager.end_leftover(here.run):
            self._say("The deployctl before this one was killed; what it had left running was stopped.")
        self._refuse_taken_port()
        self._refuse_a_shared_folder()

    def _refuse_a_shared_folder(self) -> None:
        folder, known = self._installation.folder, self._installation.read_environment()
        is_demonstration = known.get("DEPLOYCTL_DEMO") == "1"
        if self._choices.demo and known and not is_demonstration:
            raise EmbeddedError(
                f"{folder} holds an installation that is not a demonstration, and sample people do not "
                "belong there. Nothing was changed. Start it without --demo (`deployctl up`), or give the "
                "demonstration a folder of its own (DATA=.deployctl-demo make run)."
            )
        if is_demonstration and not self._choices.demo:
            raise EmbeddedError(
                f"{folder} holds a demonstration, whose sample people may start operations and sign. Nothing "
                "was changed. Start it with --demo (`make run`), or give your own installation a folder of "
                "its own (DATA=.deployctl-own make up)."
            )

    def _refuse_taken_port(self) -> None:
        port = self._choices.port
        if not is_free(port):
            raise PortTaken(
                f"Port {port} on {LOOPBACK} is taken by another program. Nothing was started. Stop that "
                f"program, or choose another port: PORT={port + 1 if port < 65535 else 8000} make run, or "
                "deployctl up --port."
            )

    def _programs(self) -> list[Program]:
        here, python = self._installation, sys.executable
        web = [python, "-m", "uvicorn", "deployctl.asgi:application", "--host", LOOPBACK]
        web += ["--port", str(self._choices.port), "--lifespan", "off", "--no-server-header"]
        # Live pages never end by themselves; without this limit they would hold up the end.
        web += ["--timeout-graceful-shutdown", "2"]
        worker = celery_worker("worker", queue="runs", pool="prefork", concurrency=self._choices.workers)
        upkeep = celery_worker("upkeep", queue="upkeep", pool="threads", concurrency=UPKEEP_THREADS)
        beat = [python, "-m", "celery", "--app", "deployctl.celery:beat", "beat", "--loglevel", "INFO"]
        beat += ["--pidfile", "", "--schedule", str(here.run / "beat-schedule")]
        return [
            Program("postgres", here.postgres.command(), here.postgres.stop_signal, 10, "postgres"),
            Program("redis", here.redis.command(), here.redis.stop_signal, 5, "redis"),
            Program("web", parent_death.command(web, signal_name="TERM"), "TERM", 5, "deployctl", ROOT),
            # QUIT: give tasks the seconds of worker_soft_shutdown_timeout. TERM would wait for them without
            # end.
            Program("worker", parent_death.command(worker, signal_name="QUIT"), "QUIT", 8, "deployctl", ROOT),
            Program("upkeep", parent_death.command(upkeep, signal_name="QUIT"), "QUIT", 8, "deployctl", ROOT),
            Program("beat", parent_death.command(beat, signal_name="TERM"), "TERM", 5, "deployctl", ROOT),
        ]

    def _environment(self) -> dict[str, str]:
        """Return what our own programs inherit; the secrets are in the environment file, which they read."""
        inherited = {
            name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in OURS
        }
        # Three processes that compile everything anew at every start take three times as long.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        return inherited | {
            "DEPLOYCTL_DATA": str(self._installation.folder),
            "DJANGO_SETTINGS_MODULE": "deployctl.settings",
            "PYTHONUNBUFFERED": "1",
        }

    def _settings(self) -> dict[str, str]:
        here = self._installation
        known = here.read_environment()
        roots = [str(here.folder / "projects")]
        if self._choices.demo:
            roots.append(str(ROOT / "examples"))
        return {
            "DEPLOYCTL_DEMO": "1" if self._choices.demo else "0",
            "DEPLOYCTL_PROJECT_ROOTS": known.get("DEPLOYCTL_PROJECT_ROOTS", ",".join(roots)),
            "DEPLOYCTL_SECRET_ROOTS": known.get("DEPLOYCTL_SECRET_ROOTS", str(here.secrets)),
            "DEPLOYCTL_HEADS": known.get("DEPLOYCTL_HEADS", (here.folder / "heads").as_uri()),
        }

    def _prepare(self) -> str:
        """Run `deployctl.cli.prepare` to its end, and return what it says about signing in."""
        here = self._installation
        choice = "--demo" if self._choices.demo else f"--administrator={self._choices.administrator}"
        argv = [sys.executable, "-m", "deployctl.cli.prepare", choice]
        # For the demonstration, which makes a database and a role of its own on this server.
        environment = self._environment() | {"DEPLOYCTL_EMBEDDED_URL": here.postgres.url()}
        log = here.logs / "prepare.log"
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
                "The database could not be brought up to date, so everything was stopped. The end of "
                f"{log}:\n" + "\n".join(f"  | {line}" for line in tail(log))
            )
        return output.decode("utf-8", "replace").rstrip()

    def _start(self, *names: str) -> None:
        for name in names:
            self._running_manager.start(name)

    def _wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            self._look()
            if is_ready():
                return
            if time.monotonic() > deadline:
                log = self._installation.logs / f"{name}.log"
                raise EmbeddedError(
                    f"{name} was not ready within {READY_WITHIN_S:g} s, so everything was stopped. The end "
                    f"of {log}:\n" + "\n".join(f"  | {line}" for line in tail(log))
                )
            time.sleep(PROBE_EVERY_S)

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look()

    def _web_answers(self) -> bool:
        # The first page leads to the sign-in page, which takes the database and a template to render. Not
        # through http_proxy of whoever starts us: a proxy does not reach our loopback address.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(self.url, timeout=WEB_TIMEOUT_S):
                return True
        except HTTPError as error:  # 400 and more; a redirect that leads nowhere
            error.close()
            return False
        except (OSError, HTTPException):
            return False

    def _says_ready(self, name: str) -> bool:
        # Neither has a port to ask at. They leave their process id when they are connected
        # (deployctl.celery).
        try:
            said = int((self._installation.run / f"{name}.ready").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return False
        return any(status.name == name and status.pid == said for status in self._running_manager.statuses())

    @property
    def _running_manager(self) -> ProcessManager:
        if self._manager is None:
            raise EmbeddedError("Nothing has been started yet.")
        return self._manager


def celery_worker(name: str, *, queue: str, pool: str, concurrency: int) -> list[str]:
    """The command line of a worker.

    Args:
        name: under which it says that it is ready (deployctl.celery).
        queue: whose messages it takes, see `CELERY_TASK_ROUTES`.
        pool: "prefork" for runs, which are ended as processes; "threads" where one process is enough.
        concurrency: tasks at the same time.
    """
    argv = [sys.executable, "-m", "celery", "--app", "deployctl.celery:app", "worker"]
    argv += ["--hostname", f"{name}@%h", "--queues", queue, "--pool", pool, "--concurrency", str(concurrency)]
    # Gossip and mingling are for many workers that know each other, and cost a second at the start.
    return [*argv, "--loglevel", "INFO", "--without-gossip", "--without-mingle"]
