"""Run a program that ends when its parent does, optionally under another account.

As a script (``python -I -S parent_death.py SIGNAL USER NAME=VALUE… -- PROGRAM ARGUMENT…``), this replaces
itself by the program. Linux sends SIGNAL to the program when the parent ends, even by kill -9 (prctl(2),
PR_SET_PDEATHSIG). On other systems, the next start ends programs that were left running.

The account is changed here and not by the caller, because the kernel clears the setting when the account
changes. The account may also be unable to read this Python (such as under /root) although it can run the
program. For the same reason, everything is imported before the change.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Mapping

PR_SET_PDEATHSIG = 1


def command(
    argv: list[str], *, signal_name: str, user: str = "", environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return the argument list that runs ``argv`` as a program that ends with its parent.

    Args:
        argv: the absolute path of the program, and its arguments.
        signal_name: the signal to send when the parent ends, such as ``"TERM"``.
        user: the account to run under; empty for the current one.
        environment: the program's whole environment; None to inherit. No secrets, because ``ps`` shows them.
    """
    assignments = [f"{name}={value}" for name, value in (environment or {}).items()]
    return [sys.executable, "-I", "-S", __file__, signal_name, user, *assignments, "--", *argv]


def end_with_parent(signal_number: int) -> None:
    """Ask the kernel to signal this process when its parent ends. Linux only."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before the request
        os.kill(os.getpid(), signal_number)


def _switch_user(user: str) -> None:
    account = pwd.getpwnam(user)
    os.setgroups(os.getgrouplist(user, account.pw_gid))
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def main(arguments: list[str]) -> None:
    """Replace this process by the program."""
    separator = arguments.index("--")
    signal_name, user, *assignments = arguments[:separator]
    argv = arguments[separator + 1 :]
    environment = dict(one.split("=", 1) for one in assignments) or dict(os.environ)
    if user:
        _switch_user(user)
    end_with_parent(signal.Signals[f"SIG{signal_name}"])
    os.execve(argv[0], argv, environment)  # noqa: S606 - deliberately without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
