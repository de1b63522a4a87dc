"""The programs of a running deployctl, and their supervisord configuration."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError

LOG_BYTES = "10MB"
LOG_BACKUPS = 3

# A program that runs this long counts as started; otherwise it is restarted after 1, 2, 3 … seconds.
STARTED_AFTER_S = 2
RETRIES = 4

# These start a comment in supervisord's configuration and can't be quoted.
UNQUOTABLE = (" #", " ;", "\t#", "\t;", "\n", "\r")


@dataclass(frozen=True)
class Program:
    """A program under the process manager.

    Args:
        name: its name, such as ``"web"``; its log is ``<name>.log``.
        argv: the command, which must run in the foreground.
        stop_signal: the signal for an orderly shutdown, such as ``"TERM"``.
        stop_wait_s: seconds until it is killed with its child processes.
        group: programs of one group are stopped together; the groups are stopped in reverse order.
        directory: its working directory.
    """

    name: str
    argv: Sequence[str]
    stop_signal: str
    stop_wait_s: int
    group: str
    directory: Path = Path("/")

    @property
    def address(self) -> str:
        """Its name in the process manager."""
        return f"{self.group}:{self.name}"


def configuration(programs: Sequence[Program], *, socket: Path, pid_file: Path, logs: Path) -> str:
    """Return the configuration of supervisord. Programs restart automatically but are started on request.

    Args:
        programs: in the start order of their groups; they stop in reverse order.
        socket: the control socket, accessible only by the owner.
        pid_file: for the PID of supervisord.
        logs: folder of the logs, which are rotated.

    Raises:
        EmbeddedError: a path can't be written in the configuration.
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
        "startsecs": str(STARTED_AFTER_S),
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
        if any(sequence in value for sequence in UNQUOTABLE):
            raise EmbeddedError(
                "A folder name contains a line break, or a space followed by # or ;, which the process "
                f"manager doesn't support: {value!r}. Nothing was started. Choose another data folder with "
                "DATA=…"
            )
        # A percent sign would start an expansion.
        lines.append(f"{key} = {value.replace('%', '%%')}")
    return "\n".join(lines) + "\n"
