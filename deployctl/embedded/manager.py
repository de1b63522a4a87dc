"""The process manager: supervisord as a child process, controlled over a private socket."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deployctl.embedded import parent_death
from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.private_files import write_private
from deployctl.embedded.programs import Program, configuration

# sockaddr_un holds 108 bytes (104 on BSD); supervisord first binds a name with its process ID appended.
MAX_SOCKET_PATH = 90
START_TIMEOUT_S = 15.0
LEFTOVER_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.05


class State(IntEnum):
    """A program's state, by supervisord's numbers (supervisor.states.ProcessStates)."""

    STOPPED = 0
    STARTING = 10
    RUNNING = 20
    BACKOFF = 30  # ended too soon, will be restarted
    STOPPING = 40
    EXITED = 100
    FATAL = 200  # ended too soon too many times
    UNKNOWN = 1000


@dataclass(frozen=True)
class Status:
    """The current status of a program."""

    name: str
    state: State
    pid: int  # 0 if it isn't running


class ProcessManager:
    """Starts, restarts and stops programs through supervisord.

    Args:
        programs: in the start order of their groups.
        run_folder: for the configuration, the PID file and the socket.
        logs: folder of the logs.
    """

    def __init__(self, programs: Sequence[Program], *, run_folder: Path, logs: Path) -> None:
        self._programs = {program.name: program for program in programs}
        self._folder = run_folder
        self._logs = logs
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = run_folder / "supervisor.sock"
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def is_running(self) -> bool:
        """True if supervisord itself is running."""
        return self._process is not None and self._process.poll() is None

    def open(self, environment: Mapping[str, str]) -> None:
        """Start supervisord without any of the programs.

        Args:
            environment: the environment of the programs.

        Raises:
            EmbeddedError: it doesn't start.
        """
        if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH:
            self._temporary = tempfile.TemporaryDirectory(prefix="deployctl-")
            self._socket = Path(self._temporary.name) / "supervisor.sock"
        pid_file = self._pid_file(self._folder)
        path = self._folder / "supervisord.conf"
        text = configuration(
            list(self._programs.values()),
            socket=self._socket,
            pid_file=pid_file,
            logs=self._logs,
        )
        write_private(path, text)
        argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)]
        if os.geteuid() == 0:
            argv += ["-u", "root"]  # confirms running as root; programs that must not be root change the user
        with (self._logs / "supervisord.out").open("wb") as output:
            self._process = subprocess.Popen(
                # TERM when this process ends, even by kill -9: supervisord then stops its programs in order.
                parent_death.command(argv, signal_name="TERM"),
                env=dict(environment),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C in a terminal is handled by this process only
            )
        self._wait_for_answer()

    def start(self, name: str) -> None:
        """Request the start of a program, without waiting until it is ready."""
        self._call("startProcess", self._programs[name].address, False)

    def statuses(self) -> list[Status]:
        """Return the status of every program."""
        return [
            Status(name=info["name"], state=State(info["state"]), pid=info["pid"])
            for info in self._call("getAllProcessInfo")
        ]

    def close(self) -> None:
        """Stop every program, last group first, and supervisord. Return when all have ended."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            timeout = 5 + sum(
                max(program.stop_wait_s for program in self._programs.values() if program.group == group)
                for group in {program.group for program in self._programs.values()}
            )
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()  # the programs end with their parent
                process.wait()
        if self._temporary is not None:
            self._temporary.cleanup()

    @staticmethod
    def end_leftover(run_folder: Path) -> bool:
        """Stop a supervisord whose parent was killed, and wait until it has stopped its programs.

        The caller holds the lock of the data folder, so it is not in use.

        Returns:
            True if there was one.

        Raises:
            EmbeddedError: it doesn't end.
        """
        try:
            pid = int(ProcessManager._pid_file(run_folder).read_text(encoding="ascii"))
            process = psutil.Process(pid)
            if str(run_folder / "supervisord.conf") not in process.cmdline():
                return False
            process.terminate()
            process.wait(LEFTOVER_TIMEOUT_S)
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return False
        except psutil.TimeoutExpired:
            raise EmbeddedError(
                f"Processes of an earlier start don't stop (supervisord is process {pid}). Nothing was "
                f"started. Stop them with `kill {pid}` and start again."
            ) from None
        return True

    @staticmethod
    def _pid_file(run_folder: Path) -> Path:
        return run_folder / "supervisord.pid"

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.is_running and time.monotonic() < deadline:
            with suppress(EmbeddedError):
                self._call("getState")
                return
            time.sleep(POLL_INTERVAL_S)
        output = (self._logs / "supervisord.out").read_text(encoding="utf-8", errors="replace").strip()
        raise EmbeddedError(f"The process manager did not start. Nothing else was started. Output: {output}")

    def _call(self, method: str, *arguments: object) -> Any:
        # One connection per call, because supervisord closes idle ones and calls are rare.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")  # type: ignore[no-untyped-call]
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except Fault as fault:
            raise EmbeddedError(f"The process manager rejected {method}: {fault.faultString}.") from fault
        except (OSError, HTTPException) as error:
            raise EmbeddedError(f"The process manager doesn't respond: {error}.") from error
