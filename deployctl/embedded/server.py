"""What the embedded servers have in common: a folder, a lock, a process, and stopping it for certain."""

from __future__ import annotations

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.private_files import FolderLock

START_TIMEOUT_S = 60.0  # recovery after a crash may have to replay the log since the last checkpoint
STOP_TIMEOUT_S = 10.0
PROBE_INTERVAL_S = 0.05
LOG_TAIL_LINES = 12


class Server(ABC):
    """One server on the loopback address, with its files in ``folder``.

    ``prepare`` makes everything the program needs; then either ``start`` runs it as a child of this process,
    or a process manager runs ``command``. The server ends with the thread that started it, so start it from
    one that lives long enough.
    """

    name: str  # for people
    stop_signal: str  # orderly end, such as "TERM"

    def __init__(self, folder: Path, *, port: int | None, say: Callable[[str], None] | None) -> None:
        self.folder = folder.absolute()
        self._wanted_port = port
        self._say = say or (lambda _text: None)
        self._lock = FolderLock(self.folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known after ``prepare``."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the argument list that runs the server in the foreground, which ends with its parent."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Ask the server a real question over its port, and tell whether it answered."""

    @abstractmethod
    def _prepare(self) -> None: ...

    @property
    def log_file(self) -> Path:
        """Where ``start`` keeps what the server prints."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """The process id of the server that ``start`` started."""
        if self._process is None:
            raise EmbeddedError(f"{self.name} is not running.")
        return self._process.pid

    def prepare(self) -> None:
        """Create what is missing, clear what a crash left, choose the port, and hold the folder's lock.

        Raises:
            EmbeddedError: with a sentence; FolderInUse, PortTaken and BinariesMissing among them.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._prepare()
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Give up the folder's lock, when a process manager has stopped the server."""
        self._lock.release()

    def start(self) -> Self:
        """Prepare and run the server, and return when it answers.

        Raises:
            EmbeddedError: when it cannot be started; the tail of its log is part of the sentence.
        """
        self.prepare()
        try:
            self._run()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the server in an orderly way, and by force after 10 seconds; returns when it is gone."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.Signals[f"SIG{self.stop_signal}"])
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._lock.release()

    def wait_until_ready(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return as soon as the server answers.

        Raises:
            EmbeddedError: when it ended, or has not answered within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self._process is not None and self._process.poll() is not None:
                raise EmbeddedError(f"{self.name} ended while starting. Its last words:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.name} has not answered on port {self.port} within {timeout_s:g} s. Its last "
                    "words:\n"
                    f"{self._tail()}"
                )
            time.sleep(PROBE_INTERVAL_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own process group: Ctrl-C in a terminal is for us, and we stop it in order.
                process_group=0,
            )

    def _tail(self) -> str:
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return "(nothing)"
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "(nothing)"
