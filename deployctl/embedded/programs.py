"""The programs that make up a running deployctl, as the process manager gets to know them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError

LOG_BYTES = "10MB"
LOG_BACKUPS = 3

# A program that lives this long counts as started; one that does not is tried again after 1, 2, 3 … seconds.
SETTLED_AFTER_S = 2
RETRIES = 4

# The configuration language takes these for the beginning of a comment and knows no way to quote them.
UNQUOTABLE = (" #", " ;", "\t#", "\t;", "\n", "\r")


@dataclass(frozen=True)
class Program:
    """One program under the process manager.

    Args:
        name: as people call it, such as ``"web"``; its log is ``<name>.log``.
        argv: what to run, in the foreground.
        stop_signal: asks it to end in an orderly way, such as ``"TERM"``.
        stop_wait_s: seconds until it is killed with everything it started.
        group: programs of one group are stopped together; the groups one after the other, last one first.
        directory: where it runs.
    """

    name: str
    argv: Sequence[str]
    stop_signal: str
    stop_wait_s: int
    group: str
    directory: Path = Path("/")

    @property
    def address(self) -> str:
        """How the process manager calls it."""
        return f"{self.group}:{self.name}"


def configuration(programs: Sequence[Program], *, socket: Path, pid_file: Path, logs: Path) -> str:
    """Return the process manager's configuration: nothing starts by itself, everything restarts by itself.

    Args:
        programs: in the order in which their groups start; they stop in the reverse order.
        socket: for control, readable by the owner alone.
        pid_file: names the process manager's own process.
        logs: folder of the logs, which are rotated.

    Raises:
        EmbeddedError: when a path cannot be expressed.
    """
    sections = {
        "unix_http_server": {"file": str(socket), "chmod": "0600"},
        "supervisord": {
            "nodaemon": "true",
            "silent": "true",
            "logfile": str(logs / "supervisord.log"),
            "logfile_maxbytes": LOG_BYTES,
            "logfile_backups": str(LOG_BACKUPS),
            "pidfile": str(pid_file),
            "childlogdir": str(logs),
            "minfds": "256",
            "minprocs": "64",
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        },
    }
    for program in programs:
        sections[f"program:{program.name}"] = _program_section(program, logs)
    groups = list(dict.fromkeys(program.group for program in programs))
    for priority, group in enumerate(groups, start=1):
        members = ",".join(program.name for program in programs if program.group == group)
        sections[f"group:{group}"] = {"programs": members, "priority": str(priority)}
    return "\n".join(_section(name, values) for name, values in sections.items())


def _program_section(program: Program, logs: Path) -> dict[str, str]:
    return {
        "command": shlex.join(program.argv),
        "directory": str(program.directory),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": str(SETTLED_AFTER_S),
        "startretries": str(RETRIES),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_wait_s),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(logs / f"{program.name}.log"),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": str(LOG_BACKUPS),
    }


def _section(name: str, values: dict[str, str]) -> str:
    lines = [f"[{name}]"]
    for key, value in values.items():
        if any(sign in value for sign in UNQUOTABLE):
            raise EmbeddedError(
                "A folder name contains a line break, or a space followed by # or ;, which the process "
                f"manager cannot express: {value!r}. Nothing was started. Choose another data folder with "
                "DATA=…"
            )
        # A percent sign would begin an expansion.
        lines.append(f"{key} = {value.replace('%', '%%')}")
    return "\n".join(lines) + "\n"
