"""The base class of the embedded servers: folder, lock, process, start and stop."""

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

START_TIMEOUT_S = 60.0  # crash recovery may have to replay the WAL since the last checkpoint
STOP_TIMEOUT_S = 10.0
PROBE_INTERVAL_S = 0.05
LOG_TAIL_LINES = 12


class Server(ABC):
    """A server on the loopback address, with its files in ``folder``.

    After ``prepare``, either ``start`` runs the program as a child process, or a process manager runs
    ``command``. The server ends with the thread that started it, so start it from a long-lived one.
    """

    name: str  # display name
    stop_signal: str  # for an orderly shutdown, such as "TERM"

    def __init__(self, folder: Path, *, port: int | None, say: Callable[[str], None] | None) -> None:
        self.folder = folder.absolute()
        self._requested_port = port
        self._say = say or (lambda _text: None)
        self._lock = FolderLock(self.folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known after ``prepare``."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the argument list of the server, which runs in the foreground and ends with its parent."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Return True if the server answers a query on its port."""

    @abstractmethod
    def _prepare(self) -> None: ...

    @property
    def log_file(self) -> Path:
        """The file for the output of a server that ``start`` runs."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """The process ID of the server that ``start`` runs."""
        if self._process is None:
            raise EmbeddedError(f"{self.name} is not running.")
        return self._process.pid

    def prepare(self) -> None:
        """Lock the folder, create missing files, clear leftovers of a crash, and choose the port.

        Raises:
            EmbeddedError: the server could not be prepared; also FolderInUse, PortTaken and BinariesMissing.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._prepare()
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Release the folder's lock, after a process manager stopped the server."""
        self._lock.release()

    def start(self) -> Self:
        """Prepare and run the server, and return when it is ready.

        Raises:
            EmbeddedError: the server could not be started; the message contains the end of its log.
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
        """Shut the server down, kill it after 10 seconds, and return when it has ended."""
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
        """Return as soon as the server is ready.

        Raises:
            EmbeddedError: the server ended, or wasn't ready within ``timeout_s`` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self._process is not None and self._process.poll() is not None:
                raise EmbeddedError(
                    f"{self.name} ended during its start. The end of its log:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.name} did not respond on port {self.port} within {timeout_s:g} s. The end of its "
                    f"log:\n{self._tail()}"
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
                # In its own process group, so that Ctrl-C in a terminal reaches only this process.
                process_group=0,
            )

    def _tail(self) -> str:
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return "(empty)"
        return "\n".join(lines[-LOG_TAIL_LINES:]) or "(empty)"
