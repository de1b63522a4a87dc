"""Running pgBackRest for an operation: which program, under which account, and what its failures mean."""

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
ALSO_SEARCHED = ("/usr/local/bin", "/usr/bin")  # of a service, PATH may be shorter
# From here on `verify` tells its findings (`--output=text`).
OLDEST = (2, 45)
VERSION = re.compile(r"pgBackRest ((\d+)\.(\d+)\S*)")
# Where pgBackRest itself looks, in this order.
DEFAULT_CONFIGURATIONS = (Path("/etc/pgbackrest/pgbackrest.conf"), Path("/etc/pgbackrest.conf"))
MOST_ANSWER_BYTES = 64 << 20
# pgBackRest's exit statuses (its src/build/error/error.yaml) → what to do about it.
ADVICE = {
    37: "Does its configuration have this stanza, with pg1-path?",
    41: "Let the account that runs it read the configuration, or run the worker under the account that may.",
    50: "Another pgBackRest works on this stanza, perhaps from cron. Wait for it, then try again.",
    55: "Correct the path of the configuration in the target's settings.",
    56: "Does pgBackRest reach the server by the pg1-socket-path, pg1-port and pg1-user it is given?",
    68: "Set archive_command as the sentence says and reload the server.",
    82: "No WAL arrived in the repository in time: read the server's log for what archive_command says.",
    87: "Set archive_mode = on in postgresql.conf and restart the server.",
}


class PgBackRest:
    """pgBackRest for one target.

    Args:
        job: whose output and end it shares.
        engine: of the target.

    Raises:
        OperationFailed: it is not there, or too old.
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
        """Run a command to its end.

        Args:
            command: such as "backup".
            options: in the form `--name=value`, and what the command is about.
            state: a sentence on what things are like when it fails.
            on_output: takes its standard output, which does not go to the log by itself.
            console: how much it writes there, such as "detail".

        Raises:
            OperationFailed: with pgBackRest's own words, `state`, and what to do.
        """
        # What is given here outweighs the configuration, so that what we read is what we expect. Errors come
        # by standard error as well, where the end of a failed program is looked for.
        levels = [f"--log-level-console={console}", "--log-level-stderr=error", "--no-log-timestamp"]
        try:
            self._execute([*self._identifying(), *levels, command, *options], on_output)
        except ProcessFailed as error:
            raise OperationFailed(_sentence(command, error, state)) from error

    def read(self, command: str, *options: str, take: Callable[[bytes], None]) -> None:
        """Run a command that answers with data.

        Args:
            take: called with each piece of the answer.

        Raises:
            OperationFailed: as `run`; commands that answer change nothing.
        """

        def receive(stream: str, chunk: bytes) -> None:
            if stream == "stdout":
                take(chunk)

        self.run(command, *options, state="Nothing was changed.", on_output=receive, console="off")

    def answer(self, command: str, *options: str) -> bytes:
        """What a command answers, all of it.

        Raises:
            OperationFailed: as `read`, or because it does not end.
        """
        answer = bytearray()

        def take(chunk: bytes) -> None:
            answer.extend(chunk)
            if len(answer) > MOST_ANSWER_BYTES:
                raise OperationFailed(
                    f"pgBackRest's {command} answered more than can be true. Nothing was changed."
                )

        self.read(command, *options, take=take)
        return bytes(answer)

    def _identifying(self) -> list[str]:
        given = self.engine.configuration
        return [f"--stanza={self.engine.stanza}", *([f"--config={given}"] if given else [])]

    def _execute(self, options: list[str], on_output: Callable[[str, bytes], None]) -> None:
        # The folder we are in may be closed to the account.
        argv, env = as_account(self.account, [str(self._path), *options], stop="TERM")
        self._job.execute(argv, env=env, cwd=Path("/"), log_stdout=False, on_output=on_output)

    def _check_version(self) -> str:
        said = bytearray()
        try:
            self._execute(["version"], lambda _stream, chunk: said.extend(chunk))
        except ProcessFailed as error:
            raise OperationFailed(_sentence("version", error, "Nothing was done.")) from error
        found = VERSION.search(said.decode(errors="replace"))
        if found is None or (int(found[2]), int(found[3])) < OLDEST:
            raise OperationFailed(
                f"{self._path} is {found[0] if found else 'no pgBackRest'}; version "
                f"{OLDEST[0]}.{OLDEST[1]} or newer is needed. Nothing was done. Install a newer one."
            )
        return found[1]


def repository_param() -> Any:
    """Declare the parameter `repository`."""
    return param(
        1, label="Repository", help="Its number in pgBackRest's configuration.", minimum=1, maximum=256
    )


def jobs_param() -> Any:
    """Declare the parameter `jobs`, which `jobs_option` reads."""
    return param(
        0,
        label="Parallel processes",
        help="0 for as many as pgBackRest's configuration says (process-max).",
        minimum=0,
        maximum=64,
    )


def jobs_option(job: Job) -> list[str]:
    """Return the option for the number of parallel processes, if it is set."""
    return [f"--process-max={job.params.jobs}"] if job.params.jobs else []


def engine_of(job: Job) -> Engine:
    """The physical engine of a run's target.

    Raises:
        OperationFailed: it has none.
    """
    if job.target.physical is None:
        raise OperationFailed(
            f"The target {job.target.name} has no physical engine. Nothing was done. An administrator names "
            "its pgBackRest stanza in the target's settings."
        )
    return job.target.physical


def account_for(configuration: Path | None) -> Account:
    """The account under which pgBackRest runs: ours; for root the owner of the configuration, else postgres.

    As root, pgBackRest would leave files in its repository that archive_command may not write beside.
    """
    if os.geteuid() != 0:
        return Account()
    for path in [configuration] if configuration else DEFAULT_CONFIGURATIONS:
        try:
            owner = pwd.getpwuid(path.stat().st_uid)
        except (OSError, KeyError):  # not there, or of an account that is gone
            continue
        if owner.pw_uid != 0:
            return Account(owner.pw_name)
    return choose_account()


def as_account(account: Account, argv: list[str], *, stop: str) -> tuple[list[str], dict[str, str]]:
    """A command line under an account, and what to add to its environment.

    Args:
        stop: the signal that ends the program with its parent, such as "TERM".
    """
    if not account.is_other:
        return argv, {}
    # Its own home, for that is where libpq looks for its pass file.
    return parent_death.command(argv, signal_name=stop, user=account.name), {
        "HOME": pwd.getpwnam(account.name).pw_dir
    }


def _find() -> Path:
    found = shutil.which(NAME, path=os.pathsep.join([*os.get_exec_path(), *ALSO_SEARCHED]))
    if found is None:
        raise OperationFailed(
            "pgBackRest was not found on the worker's machine. Nothing was done. Install it there (Debian, "
            "Ubuntu: apt-get install pgbackrest; Red Hat: dnf install pgbackrest)."
        )
    return Path(found).absolute()


def _sentence(command: str, error: ProcessFailed, state: str) -> str:
    """What pgBackRest said, what state things are in, and what to do."""
    status = error.completed.exit_status
    said = " ".join(line.strip() for line in error.last_words.splitlines())
    end = "failed" if status is not None else f"was ended by signal {error.completed.signal}"
    how = f"pgBackRest's {command} {end}: {said or 'it said nothing'}"
    advice = ADVICE.get(status or 0, "")
    return " ".join(part for part in (how.rstrip(".") + ".", state, advice) if part)
