"""Run pgBackRest under the right operating system account, and explain its failures."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployctl.embedded import parent_death
from deployctl.embedded.os_account import Account, choose_account
from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed, param
from deployctl.operations.physical.engine import Engine

NAME = "pgbackrest"
EXTRA_FOLDERS = ("/usr/local/bin", "/usr/bin")  # the PATH of a service may lack them
# The first version in which `verify` reports its findings (`--output=text`).
OLDEST = (2, 45)
VERSION = re.compile(r"pgBackRest ((\d+)\.(\d+)\S*)")
# The default locations of pgBackRest, in its order.
DEFAULT_CONFIGURATIONS = (Path("/etc/pgbackrest/pgbackrest.conf"), Path("/etc/pgbackrest.conf"))
LARGEST_OUTPUT_BYTES = 64 << 20
# pgBackRest's exit statuses (src/build/error/error.yaml) → the next step.
ADVICE = {
    37: "Check that its configuration has this stanza, with pg1-path.",
    41: "Allow the worker's account to read the configuration, or run the worker under an account that can.",
    50: "Another pgBackRest is working on this stanza, perhaps from cron. Wait for it, then try again.",
    55: "Correct the path of the configuration in the target's settings.",
    56: "Check pg1-socket-path, pg1-port and pg1-user in its configuration.",
    68: "Set archive_command as described and reload the server.",
    82: "No WAL arrived in the repository in time. Look for errors of archive_command in the server's log.",
    87: "Set archive_mode = on in postgresql.conf and restart the server.",
}


class PgBackRest:
    """Runs pgBackRest for one target.

    Args:
        job: the run, which gets the output and can be cancelled.
        engine: the physical engine of the target.

    Raises:
        OperationFailed: pgBackRest is missing or too old.
    """

    def __init__(self, job: Job, engine: Engine) -> None:
        self._job, self.engine = job, engine
        self.account = account_for(engine.configuration)
        self._path = _find()
        self.version = self._check_version()
        job.log(f"{self._path} {self.version}{f' as {self.account.name}' if self.account.name else ''}.")

    def run(
        self,
        command: str,
        *options: str,
        state: str,
        on_output: Callable[[str, bytes], None],
        console: str = "info",
    ) -> None:
        """Run a command.

        Args:
            command: such as "backup".
            options: such as `--name=value`, and the command's arguments.
            state: a sentence about the state after a failure, for the message.
            on_output: called with the output, which isn't logged automatically.
            console: the log level of standard output, such as "detail".

        Raises:
            OperationFailed: with pgBackRest's message, `state` and the next step.
        """
        # These override the configuration, so that the output has the expected form. Errors are written to
        # standard error, too, because the message of `ProcessFailed` is read from there.
        levels = [f"--log-level-console={console}", "--log-level-stderr=error", "--no-log-timestamp"]
        try:
            self._execute([*self._stanza_options(), *levels, command, *options], on_output)
        except ProcessFailed as error:
            raise OperationFailed(_failure_message(command, error, state)) from error

    def stream(self, command: str, *options: str, on_chunk: Callable[[bytes], None]) -> None:
        """Run a read-only command, and pass on its standard output.

        Args:
            on_chunk: called with each chunk of the output.

        Raises:
            OperationFailed: as `run`.
        """

        def receive(stream: str, chunk: bytes) -> None:
            if stream == "stdout":
                on_chunk(chunk)

        self.run(command, *options, state="Nothing was changed.", on_output=receive, console="off")

    def output(self, command: str, *options: str) -> bytes:
        """Run a read-only command, and return its standard output.

        Raises:
            OperationFailed: as `stream`, or because there is too much output.
        """
        output = bytearray()

        def receive(chunk: bytes) -> None:
            output.extend(chunk)
            if len(output) > LARGEST_OUTPUT_BYTES:
                raise OperationFailed(
                    f"The output of pgBackRest's {command} is larger than {LARGEST_OUTPUT_BYTES >> 20} MiB. "
                    "Nothing was changed."
                )

        self.stream(command, *options, on_chunk=receive)
        return bytes(output)

    def _stanza_options(self) -> list[str]:
        configuration = self.engine.configuration
        return [
            f"--stanza={self.engine.stanza}",
            *([f"--config={configuration}"] if configuration else []),
        ]

    def _execute(self, options: list[str], on_output: Callable[[str, bytes], None]) -> None:
        # The account may not have access to the current folder.
        argv, env = as_account(self.account, [str(self._path), *options], stop="TERM")
        self._job.execute(argv, env=env, cwd=Path("/"), log_stdout=False, on_output=on_output)

    def _check_version(self) -> str:
        output = bytearray()
        try:
            self._execute(["version"], lambda _stream, chunk: output.extend(chunk))
        except ProcessFailed as error:
            raise OperationFailed(_failure_message("version", error, "Nothing was done.")) from error
        found = VERSION.search(output.decode(errors="replace"))
        if found is None or (int(found[2]), int(found[3])) < OLDEST:
            raise OperationFailed(
                f"{self._path} is {found[0] if found else 'not pgBackRest'}, but deployctl needs pgBackRest "
                f"{OLDEST[0]}.{OLDEST[1]} or newer. Nothing was done. Install a newer version."
            )
        return found[1]


def repository_param() -> Any:
    """Declare the parameter `repository`."""
    return param(
        1,
        label="Repository",
        help="The repository's number in pgBackRest's configuration.",
        minimum=1,
        maximum=256,
    )


def jobs_param() -> Any:
    """Declare the parameter `jobs`, which `jobs_option` reads."""
    return param(
        0,
        label="Parallel processes",
        help="0 for the number in pgBackRest's configuration (process-max).",
        minimum=0,
        maximum=64,
    )


def jobs_option(job: Job) -> list[str]:
    """Return the option for the number of parallel processes, if it is set."""
    return [f"--process-max={job.params.jobs}"] if job.params.jobs else []


def engine_of(job: Job) -> Engine:
    """Return the physical engine of a run's target.

    Raises:
        OperationFailed: the target has none.
    """
    if job.target.physical is None:
        raise OperationFailed(
            f"The target {job.target.name} has no physical engine. Nothing was done. "
            "An administrator can set its pgBackRest stanza in the target's settings."
        )
    return job.target.physical


def account_for(configuration: Path | None) -> Account:
    """Return the account that runs pgBackRest.

    That is the worker's account. If that is root, it is the owner of the configuration, or postgres: files in
    the repository that belong to root would make archive_command fail.
    """
    if os.geteuid() != 0:
        return Account()
    for path in [configuration] if configuration else DEFAULT_CONFIGURATIONS:
        try:
            owner = pwd.getpwuid(path.stat().st_uid)
        except (OSError, KeyError):  # the file or its owner doesn't exist
            continue
        if owner.pw_uid != 0:
            return Account(owner.pw_name)
    return choose_account()


def as_account(account: Account, argv: list[str], *, stop: str) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a program under an account, and the variables to add to its environment.

    Args:
        stop: the signal that ends the program when its parent dies, such as "TERM".
    """
    if not account.is_other:
        return argv, {}
    # libpq looks for the password file in the account's home.
    return parent_death.command(argv, signal_name=stop, user=account.name), {
        "HOME": pwd.getpwnam(account.name).pw_dir
    }


def _find() -> Path:
    found = shutil.which(NAME, path=os.pathsep.join([*os.get_exec_path(), *EXTRA_FOLDERS]))
    if found is None:
        raise OperationFailed(
            "pgBackRest isn't installed on the worker's machine. Nothing was done. Install it there (Debian, "
            "Ubuntu: apt-get install pgbackrest; Red Hat: dnf install pgbackrest)."
        )
    return Path(found).absolute()


def _failure_message(command: str, error: ProcessFailed, state: str) -> str:
    status = error.completed.exit_status
    message = " ".join(line.strip() for line in error.stderr_tail.splitlines())
    result = "failed" if status is not None else f"was ended by signal {error.completed.signal}"
    failure = f"pgBackRest's {command} {result}: {message or 'it gave no reason'}"
    advice = ADVICE.get(status or 0, "")
    return " ".join(part for part in (failure.rstrip(".") + ".", state, advice) if part)
