"""Operations for tests of the machinery: small, real, and quick to start and stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployctl.operations import registry
from deployctl.operations.base import Job, Operation, OperationFailed, Outcome, param


class Look(Operation):
    """Reads, together with others."""

    kind, title, help = "look", "Look", "Looks at the target."
    changes_target, exclusive, time_limit_s = False, False, 60

    def perform(self, job: Job) -> Outcome:
        with job.step("look"), job.connect() as session:
            row = session.execute("SELECT current_database()").fetchone()
        job.log("looked")
        return Outcome("Looked.", {"database": row[0] if row else ""})


class Sleep(Operation):
    """Reads alone for a while, in a program and in a session."""

    kind, title, help = "sleep", "Sleep", "Sleeps on the target."
    changes_target, exclusive, time_limit_s = False, True, 60

    @dataclass(frozen=True)
    class Params:
        seconds: int = param(30, label="Seconds", help="How long.", minimum=0)
        where: str = param("program", label="Where", help="What sleeps.", choices=["program", "session"])

    def perform(self, job: Job) -> Outcome:
        with job.step("sleep"):
            job.log("sleeping")
            if job.params.where == "session":
                job.connect().execute(f"SELECT pg_sleep({job.params.seconds})".encode())
            else:
                script = f"import time; print('asleep', flush=True); time.sleep({job.params.seconds})"
                job.execute([sys.executable, "-c", script], connection=job.target.connection)
        return Outcome("Slept.")


class Change(Operation):
    """Changes alone: one row now, and another after a while."""

    kind, title, help = "change", "Change", "Changes the target."
    changes_target, exclusive, time_limit_s = True, True, 60

    @dataclass(frozen=True)
    class Params:
        seconds: int = param(0, label="Seconds", help="How long between the rows.", minimum=0)

    def perform(self, job: Job) -> Outcome:
        session = job.connect()
        with job.step("first row"):
            session.execute("CREATE TABLE IF NOT EXISTS effects (run int)")
            session.execute("INSERT INTO effects VALUES (%s)", [job.run_id])
        with job.step("second row"):
            for _ in range(job.params.seconds * 10):
                job.raise_if_cancelled()
                time.sleep(0.1)
            session.execute("INSERT INTO effects VALUES (%s)", [job.run_id])
        return Outcome("Changed.", {"rows": 2})


class Break(Operation):
    """Fails as asked."""

    kind, title, help = "break", "Break", "Breaks."
    changes_target, exclusive, time_limit_s = False, True, 60

    @dataclass(frozen=True)
    class Params:
        how: str = param(
            "failed", label="How", help="How it breaks.", choices=["failed", "defect", "sql", "exit"]
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("break"):
            if job.params.how == "failed":
                raise OperationFailed("It broke. Mend it.")
            if job.params.how == "exit":
                raise SystemExit
            if job.params.how == "sql":
                job.connect().execute("SELECT * FROM nowhere")
            raise ZeroDivisionError(job.target.connection.password)


class Chatter(Operation):
    """Says a lot, its password among it."""

    kind, title, help = "chatter", "Chatter", "Chatters."
    changes_target, exclusive, time_limit_s = False, True, 60

    @dataclass(frozen=True)
    class Params:
        lines: int = param(10, label="Lines", help="How many.", minimum=0)

    def perform(self, job: Job) -> Outcome:
        password = job.target.connection.password
        with job.step(f"chatter {password}"):
            script = (
                "import os\n"
                f"for n in range({job.params.lines}): print(n, '<script>', '\\x1b[31m', os.environ['WORD'])\n"
            )
            job.execute([sys.executable, "-c", script], env={"WORD": password})
            for done in range(5):
                job.advance(done, 4, unit="rows", phase=f"phase {password}")
        return Outcome(f"Said {password}.", {"word": password, "list": [password]})


KINDS: Mapping[str, type[Operation]] = {
    operation.kind: operation for operation in (Look, Sleep, Change, Break, Chatter)
}


def install(replace: Callable[[Any, str, Any], object] = setattr) -> None:
    """Put them into the catalogue beside the real ones.

    Args:
        replace: `monkeypatch.setattr` in tests, `setattr` in a worker process of their own.
    """
    real = registry.catalogue()
    replace(registry, "catalogue", lambda: {**real, **KINDS})
