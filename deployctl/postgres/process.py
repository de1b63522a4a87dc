"""Run a program without a shell, with a minimal environment, and end it with all its descendants."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from deployctl.errors import DeployctlError
from deployctl.postgres import pass_file
from deployctl.postgres.connection import CONNECT_TIMEOUT_S, ConnectionSpec, environment_names
from deployctl.postgres.queries.session import CHECKS_CLIENT_FROM

GUARD = Path(__file__).with_name("guard.py")
CHUNK_BYTES = 65536
TICK_S = 0.2
# A cancellation must finish within 5 s: 3 s between SIGTERM and SIGKILL leave time for the rest.
GRACE_S = 3.0
TIME_LIMIT = "time limit"
INHERITED_VARIABLES = ("PATH", "HOME", "TMPDIR")


class CannotStart(DeployctlError):
    """A program that could not be started; nothing ran."""


@dataclass(frozen=True)
class Completed:
    """The result of a program.

    Args:
        exit_status: None if a signal ended it.
        signal: the signal's number; None if it exited.
        duration_s: wall-clock seconds.
        stopped: the reason why it was stopped (the caller's, or "time limit"); None if it was not.
    """

    exit_status: int | None
    signal: int | None
    duration_s: float
    stopped: str | None = None

    @property
    def ok(self) -> bool:
        """Return True if the program exited with status 0 and was not stopped."""
        return self.exit_status == 0 and self.stopped is None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    on_output: Callable[[str, bytes], None] = lambda _stream, _chunk: None,
    should_stop: Callable[[], str | None] = lambda: None,
    while_running: Callable[[], None] = lambda: None,
    timeout_s: float,
    stdin: IO[bytes] | None = None,
) -> Completed:
    """Run a program until it ends, or stop it with all its descendants.

    It runs in a session of its own under a guard process, so it ends within 2 s after this process, even if
    this process is killed. All callbacks are called in the calling thread; if one raises, the program is
    stopped and the exception propagates.

    Args:
        argv: program and arguments; no shell is involved.
        env: the whole environment, see `child_environment`.
        cwd: the working directory.
        on_output: called with "stdout" or "stderr" and a chunk of bytes.
        should_stop: called several times a second; the program is stopped if it returns a reason.
        while_running: called several times a second, for progress.
        timeout_s: wall-clock limit in seconds.
        stdin: an open file; None for empty input.

    Raises:
        CannotStart: the program or the folder does not exist or is not accessible.
    """
    command = [_executable(argv[0], env, cwd), *argv[1:]]
    if cwd is not None and not cwd.is_dir():
        raise CannotStart(f"{argv[0]} was not started: the folder {cwd} does not exist.")
    started = time.monotonic()
    with _Guarded(command, env=env, cwd=cwd, stdin=stdin) as guarded:
        stopped: str | None = None
        while guarded.pump(on_output):
            if stopped is None:
                stopped = should_stop() or (TIME_LIMIT if time.monotonic() - started > timeout_s else None)
                if stopped is not None:
                    guarded.stop()
            while_running()
        exit_status, signal_number = guarded.result()
    return Completed(exit_status, signal_number, time.monotonic() - started, stopped)


class _Guarded:
    """A guard process with the pipes to it."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, stdin: IO[bytes] | None
    ) -> None:
        lifeline_read, self._lifeline = os.pipe()
        self._report, report_write = os.pipe()
        inherited = (lifeline_read, report_write)
        arguments = [*map(str, inherited), str(GRACE_S), pass_file.pass_file_of(env)]
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), *arguments, *command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=inherited,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._lifeline)
            os.close(self._report)
            raise
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        self._name = command[0]
        self._events = b""
        self._selector = selectors.DefaultSelector()
        for pipe, stream in ((self._guard.stdout, "stdout"), (self._guard.stderr, "stderr")):
            assert pipe is not None  # noqa: S101 - both are PIPE above
            self._selector.register(pipe.fileno(), selectors.EVENT_READ, stream)
        self._selector.register(self._report, selectors.EVENT_READ, "report")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Closing the lifeline stops the program if it still runs, as after an exception of a callback.
        os.close(self._lifeline)
        self._guard.wait()
        self._selector.close()
        os.close(self._report)
        for pipe in (self._guard.stdout, self._guard.stderr):
            if pipe is not None:
                pipe.close()

    def pump(self, on_output: Callable[[str, bytes], None]) -> bool:
        """Pass on output that arrives within TICK_S seconds; return False at the end of all output."""
        for key, _ in self._selector.select(timeout=TICK_S):
            chunk = os.read(key.fd, CHUNK_BYTES)
            if not chunk:
                self._selector.unregister(key.fd)
                if key.data == "report":
                    self._kill_orphaned_group()
            elif key.data == "report":
                self._events += chunk
            else:
                on_output(key.data, chunk)
        return bool(self._selector.get_map())

    def stop(self) -> None:
        """Ask the guard to stop the program."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._lifeline, b"s")

    def result(self) -> tuple[int | None, int | None]:
        """Return the exit status and the signal of the program; one of them is None."""
        events = [json.loads(line) for line in self._events.splitlines()]
        last = events[-1] if events else {}
        if "error" in last:
            raise CannotStart(f"{self._name} could not be started: {last['error']}.")
        if "exit" in last:
            return last["exit"], last["signal"]
        return None, signal.SIGKILL.value  # the guard was killed, and the program with it

    def _kill_orphaned_group(self) -> None:
        """Kill the program's children if the guard was killed; the kernel kills only the program itself."""
        events = [json.loads(line) for line in self._events.splitlines()]
        if len(events) == 1 and "pid" in events[0]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(events[0]["pid"], signal.SIGKILL)


@contextlib.contextmanager
def child_environment(
    spec: ConnectionSpec | None,
    *,
    application_name: str,
    extra: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """Yield a minimal environment for one program, with the connection of a spec.

    The password is passed in a file that is removed at the end (`pass_file`).

    Args:
        spec: the database for programs that use libpq; None for other programs.
        application_name: shown in `pg_stat_activity`.
        extra: variables to add or replace.
    """
    env = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    env.setdefault("PATH", os.defpath)
    # The .psqlrc of the worker's account could change the effect of a script.
    env |= {"LANG": "C.UTF-8", "PGAPPNAME": application_name, "PSQLRC": os.devnull}
    with contextlib.ExitStack() as stack:
        if spec is not None:
            path = stack.enter_context(pass_file.temporary_pass_file(spec, application_name=application_name))
            env |= connection_variables(spec) | {"PGPASSFILE": str(path)}
        yield env | dict(extra or {})


def connection_variables(spec: ConnectionSpec) -> dict[str, str]:
    """Return libpq's environment variables for a database, without the password.

    Database names are passed here because libpq programs parse an argument such as `host=… dbname=…` as a
    connection string.
    """
    env = {
        "PGHOST": spec.host,
        "PGPORT": str(spec.port),
        "PGUSER": spec.user,
        "PGDATABASE": spec.dbname,
        "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_S),
    }
    names = environment_names()
    return env | {variable: value for key, value in spec.libpq_options.items() if (variable := names[key])}


def session_options(spec: ConnectionSpec, server_version: int) -> dict[str, str]:
    """Return `PGOPTIONS` that make a backend detect within 1 s that its client died.

    Args:
        server_version: as `server_version_num`. Servers before 14 don't have the setting and get no options.
    """
    if server_version < CHECKS_CLIENT_FROM:
        return {}
    given = spec.options.get("options", "")
    return {"PGOPTIONS": f"{given} -c client_connection_check_interval=1s".strip()}


def _executable(name: str, env: Mapping[str, str], cwd: Path | None) -> str:
    """Return the program's path, or raise CannotStart before anything is started."""
    candidate = str(cwd / name) if cwd is not None and "/" in name and not name.startswith("/") else name
    found = shutil.which(candidate, path=env.get("PATH", os.defpath))
    if found is None:
        raise CannotStart(
            f"The program {name} wasn't found or isn't executable. Install it, or add its folder to PATH."
        )
    return found
