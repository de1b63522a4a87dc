"""Run a program for an operation; used by every implementation of `Job.execute`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deployctl.operations.framework.base import Cancelled, ProcessFailed
from deployctl.postgres import process
from deployctl.postgres.connection import ConnectionSpec
from deployctl.postgres.process import Completed

TAIL_BYTES = 4000
TAIL_LINES = 6
ERROR_WORD = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)


def execute(
    argv: Sequence[str],
    *,
    application_name: str,
    timeout_s: float,
    should_stop: Callable[[], str | None],
    on_output: Sequence[Callable[[str, bytes], None]] = (),
    while_running: Callable[[], None] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    connection: ConnectionSpec | None = None,
    pass_url: bool = False,
) -> Completed:
    """Run a program as described in `Job.execute`.

    Args:
        should_stop: returns a reason if the run was cancelled or its lease was lost.
        on_output: functions that are called with every chunk.
        timeout_s: the rest of the run's time limit in seconds.

    Raises:
        ProcessFailed, Cancelled, CannotStart.
    """
    tail = bytearray()

    def receive(stream: str, chunk: bytes) -> None:
        if stream == "stderr":
            tail.extend(chunk)
            del tail[:-TAIL_BYTES]
        for receiver in on_output:
            receiver(stream, chunk)

    extra = dict(env or {})
    if pass_url and connection is not None:
        # The name identifies the run's sessions; not every driver reads PGAPPNAME.
        named = {**connection.options, "application_name": application_name}
        extra["DATABASE_URL"] = replace(connection, options=named).url
    with process.child_environment(connection, application_name=application_name, extra=extra) as environment:
        completed = process.run(
            argv,
            env=environment,
            cwd=cwd,
            on_output=receive,
            should_stop=should_stop,
            while_running=while_running or (lambda: None),
            timeout_s=timeout_s,
        )
    if completed.stopped is not None and completed.stopped != process.TIME_LIMIT:
        raise Cancelled(completed.stopped)
    if not completed.ok:
        raise ProcessFailed(Path(argv[0]).name, completed, _error_lines(bytes(tail)))
    return completed


def _error_lines(tail: bytes) -> str:
    """Return a few lines from the first error on, or the last few, without unprintable characters."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in tail.decode("utf-8", errors="replace"))
    lines = text.strip().splitlines()
    first = next(
        (number for number, line in enumerate(lines) if ERROR_WORD.search(line)), len(lines) - TAIL_LINES
    )
    return "\n".join(lines[max(first, 0) :][:TAIL_LINES])
