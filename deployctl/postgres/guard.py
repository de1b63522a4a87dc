"""Run a program, and kill it with all its descendants when the process that started the guard dies.

Runs as a small process between deployctl and the program
(`python -I -S guard.py LIFELINE REPORT GRACE PASSFILE PROGRAM ARGUMENT…`) and imports nothing of this
project, so that it starts in a few milliseconds.

LIFELINE is the read end of a pipe whose write end only the parent holds. A byte on it requests a stop; end of
file means that the parent died, even by SIGKILL, because the kernel closes the files of a dead process.
REPORT is the write end of a pipe for one JSON line per event: started, finished, or could not start. GRACE is
the time in seconds between SIGTERM and SIGKILL. PASSFILE, unless empty, is removed with its folder when the
parent dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
# Long enough for pg_dump to cancel its statements on the server. `process.run` guarantees an end within 2 s.
GRACE_WHEN_ORPHANED_S = 1.0
POLL_S = 0.05


def main(lifeline: int, report: int, grace_s: float, pass_file: str, argv: list[str]) -> None:
    """Run the program, and remove the pass file if the parent died."""
    try:
        guard(lifeline, report, grace_s, argv)
    finally:
        if pass_file and is_orphaned(lifeline):
            with contextlib.suppress(OSError):
                Path(pass_file).unlink()
                Path(pass_file).parent.rmdir()


def guard(lifeline: int, report: int, grace_s: float, argv: list[str]) -> None:
    """Run the program until it ends or must be stopped, then kill its remaining descendants."""
    stop_flag: list[str] = []
    # Handlers rather than SIG_IGN, which the program would inherit.
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop_flag.append("terminated"))
    adopt_orphans()
    try:
        child = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)
    except OSError as error:
        send_event(report, error=error.strerror or str(error))
        return
    # The guard's copies of the output pipes must not keep them open.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    send_event(report, pid=child.pid)
    grace = wait(child, lifeline, stop_flag, grace_s)
    if grace is not None:
        end(child, lifeline, grace)
    status = child.wait()
    end_descendants(child.pid)
    send_event(report, exit=status if status >= 0 else None, signal=-status if status < 0 else None)


def wait(child: subprocess.Popen[bytes], lifeline: int, stop_flag: list[str], grace_s: float) -> float | None:
    """Wait until the program ends or must be stopped.

    Returns:
        The grace period in seconds, or None if the program ended.
    """
    while child.poll() is None:
        if stop_flag:
            return grace_s
        readable, _, _ = select.select([lifeline], [], [], POLL_S)
        if readable:
            return grace_s if os.read(lifeline, 1) else GRACE_WHEN_ORPHANED_S
    return None


def is_orphaned(lifeline: int) -> bool:
    """Return True if the parent closed the lifeline; discards stop requests that were not read yet."""
    while select.select([lifeline], [], [], 0)[0]:
        if not os.read(lifeline, 1):
            return True
    return False


def end(child: subprocess.Popen[bytes], lifeline: int, grace_s: float) -> None:
    """Send SIGTERM to the whole process group, and SIGKILL after the grace period."""
    signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while child.poll() is None and time.monotonic() < deadline:
        readable, _, _ = select.select([lifeline], [], [], POLL_S)
        if readable and not os.read(lifeline, 1):  # the parent requested a stop, then died
            deadline = min(deadline, time.monotonic() + GRACE_WHEN_ORPHANED_S)
            time.sleep(POLL_S)
    signal_group(child.pid, signal.SIGKILL)


def end_descendants(group: int) -> None:
    """Kill the program's remaining descendants, also those in other sessions.

    The guard is a subreaper and inherits every orphan of the tree, so it is done when it has no children.
    """
    signal_group(group, signal.SIGKILL)
    while True:
        for pid in own_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def own_children() -> list[int]:
    """Return the PIDs of the child processes."""
    try:
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:  # not Linux, or a kernel without this file: only the process group can be killed
        return []
    return [int(pid) for pid in listed.split()]


def signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants (Linux only)."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent, the guard, dies; called between fork and exec."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def send_event(report: int, **event: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
