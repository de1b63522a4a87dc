"""Started between us and a program that we run: takes the program and all its descendants down when we die.

Runs as its own small process (`python -I -S guard.py LIFELINE REPORT GRACE PASSFILE PROGRAM ARGUMENT…`) and
imports nothing of this project, so that it starts in a few milliseconds.

LIFELINE is the read end of a pipe whose other end only our process holds. A byte on it asks for a stop; its
end means that we are gone, kill -9 included, for the kernel closes what a dead process held. REPORT takes
one JSON line per event: started, finished, or could not start. GRACE is how many seconds a program that is
stopped has to end by itself. PASSFILE, where it is not empty, is removed with its folder when we are gone.
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
# Enough for pg_dump to cancel its statements on the server; the promise is gone within 2 s.
GRACE_WHEN_ORPHANED_S = 1.0
POLL_S = 0.05


def main(lifeline: int, report: int, grace_s: float, pass_file: str, argv: list[str]) -> None:
    """Run the program to its end, or end it; leave nothing behind."""
    try:
        guard(lifeline, report, grace_s, argv)
    finally:
        if pass_file and is_orphaned(lifeline):
            with contextlib.suppress(OSError):
                Path(pass_file).unlink()
                Path(pass_file).parent.rmdir()


def guard(lifeline: int, report: int, grace_s: float, argv: list[str]) -> None:
    """Run the program to its end, or end it with all that it started."""
    stop_flag: list[str] = []
    # Handlers, for the program would inherit "ignored".
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop_flag.append("terminated"))
    adopt_orphans()
    try:
        child = subprocess.Popen(argv, start_new_session=True, preexec_fn=die_with_parent)
    except OSError as error:
        tell(report, error=error.strerror or str(error))
        return
    # Our copies of its output must not keep the pipes open.
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(quiet, descriptor)
    tell(report, pid=child.pid)
    grace = wait(child, lifeline, stop_flag, grace_s)
    if grace is not None:
        end(child, lifeline, grace)
    status = child.wait()
    end_descendants(child.pid)
    tell(report, exit=status if status >= 0 else None, signal=-status if status < 0 else None)


def wait(child: subprocess.Popen[bytes], lifeline: int, stop_flag: list[str], grace_s: float) -> float | None:
    """Wait until the program ended (None) or must end (seconds of grace)."""
    while child.poll() is None:
        if stop_flag:
            return grace_s
        readable, _, _ = select.select([lifeline], [], [], POLL_S)
        if readable:
            return grace_s if os.read(lifeline, 1) else GRACE_WHEN_ORPHANED_S
    return None


def is_orphaned(lifeline: int) -> bool:
    """Whether the other end of the pipe is closed; bytes that ask for a stop may still wait in it."""
    while select.select([lifeline], [], [], 0)[0]:
        if not os.read(lifeline, 1):
            return True
    return False


def end(child: subprocess.Popen[bytes], lifeline: int, grace_s: float) -> None:
    """TERM to the whole group, some grace, then KILL."""
    signal_group(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while child.poll() is None and time.monotonic() < deadline:
        readable, _, _ = select.select([lifeline], [], [], POLL_S)
        if readable and not os.read(lifeline, 1):  # we were asked to stop, and now the asker died too
            deadline = min(deadline, time.monotonic() + GRACE_WHEN_ORPHANED_S)
            time.sleep(POLL_S)
    signal_group(child.pid, signal.SIGKILL)


def end_descendants(group: int) -> None:
    """Kill what the program left behind, also what moved to another session.

    As subreaper we inherit every orphan of the tree, so the tree is gone when we have no child left.
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
    """The processes whose parent is this one."""
    try:
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:  # not Linux, or a kernel without it: the group is all that can be reached
        return []
    return [int(pid) for pid in listed.split()]


def signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def adopt_orphans() -> None:
    """Become the parent of every orphan below us (Linux)."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """In the program, before it starts: KILL it when the guard itself is killed."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def tell(report: int, **event: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
