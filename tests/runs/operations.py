"""Small operations for tests of how runs are executed; quick to start and stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from deployctl.operations.framework import registry
from deployctl.operations.framework.base import Job, Operation, OperationFailed, Outcome, param


class Look(Operation):
    """A read-only operation that is not exclusive."""

    kind, title, help = "look", "Look", "Reads the target."
    changes_target, exclusive, time_limit_s = False, False, 60

    def perform(self, job: Job) -> Outcome:
        with job.step("look"), job.connect() as session:
            row = session.execute("SELECT current_database()").fetchone()
        job.log("looked")
        return Outcome("Looked.", {"database": row[0] if row else ""})


class Sleep(Operation):
    """An exclusive read-only operation that sleeps in a program or in a session."""

    kind, title, help = "sleep", "Sleep", "Sleeps on the target."
    changes_target, exclusive, time_limit_s = False, True, 900

    @dataclass(frozen=True)
    class Params:
        seconds: int = param(600, label="Seconds", help="How long.", minimum=0)
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
    """An exclusive operation that inserts one row at once and another later."""

    kind, title, help = "change", "Change", "Changes the target."
    changes_target, exclusive, time_limit_s = True, True, 900

    @dataclass(frozen=True)
    class Params:
        seconds: int = param(0, label="Seconds", help="The time between the rows.", minimum=0)

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


class Count(Operation):
    """An exclusive operation that logs numbers one by one, then inserts a row."""

    kind, title, help = "count", "Count", "Counts in the log."
    changes_target, exclusive, time_limit_s = True, True, 60

    @dataclass(frozen=True)
    class Params:
        numbers: int = param(10, label="Numbers", help="How far.", minimum=1)

    def perform(self, job: Job) -> Outcome:
        loop = f"for n in range(1, {job.params.numbers} + 1): print(n, flush=True); time.sleep(0.1)"
        with job.step("count"):
            job.execute([sys.executable, "-c", f"import time\n{loop}"])
        with job.step("row"):
            session = job.connect()
            session.execute("CREATE TABLE IF NOT EXISTS effects (run int)")
            session.execute("INSERT INTO effects VALUES (%s)", [job.run_id])
        return Outcome("Counted.")


class Note(Operation):
    """An operation that is not exclusive, inserts a row and takes 0.2 s."""

    kind, title, help = "note", "Note", "Inserts a row."
    changes_target, exclusive, time_limit_s = True, False, 60

    def perform(self, job: Job) -> Outcome:
        with job.step("note"):
            job.connect().execute("INSERT INTO effects VALUES (%s)", [job.run_id])
            time.sleep(0.2)
        return Outcome("Noted.")


FLOOD = r"""
import base64, os, sys, time, urllib.parse
out, word = sys.stdout.buffer, os.environ["WORD"]
encodings = [word, urllib.parse.quote(word, safe=""), repr(word), base64.b64encode(word.encode()).decode()]
for encoding in encodings:
    out.write(b"it is ")
    for letter in encoding:  # one chunk per character
        out.write(letter.encode())
        out.flush()
    out.write(b".\n")
out.write(b"<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>\n")
out.write(b"NUL \x00, red \x1b[31m, a title \x1b]0;gotcha\x07, no UTF-8 \xff\xfe\xc3\x28\n")
for _ in range(160):
    out.write(b"y" * 65536)
out.write(b"\n")
line, written, number = b"%09d " + b"z" * 180 + b" " + word.encode() + b"\n", 0, 0
while written < int(sys.argv[1]) * 1_000_000:
    out.write(line.replace(b"%09d", b"%09d" % number))
    written, number = written + len(line), number + 1
out.write(b"the last line\n")
"""


class Flood(Operation):
    """Runs a program that floods the log and writes everything that could do harm."""

    kind, title, help = "flood", "Flood", "Floods the log."
    changes_target, exclusive, time_limit_s = False, True, 300

    @dataclass(frozen=True)
    class Params:
        megabytes: int = param(1, label="Megabytes", help="How much.", minimum=1)

    def perform(self, job: Job) -> Outcome:
        with job.step("flood"):
            job.execute(
                [sys.executable, "-c", FLOOD, str(job.params.megabytes)],
                env={"WORD": job.target.connection.password},
            )
        return Outcome("Flooded.")


class Break(Operation):
    """An operation that fails in the requested way."""

    kind, title, help = "break", "Break", "Breaks."
    changes_target, exclusive, time_limit_s = False, True, 60

    @dataclass(frozen=True)
    class Params:
        how: str = param(
            "failed", label="How", help="How it breaks.", choices=["failed", "error", "sql", "exit"]
        )

    def perform(self, job: Job) -> Outcome:
        with job.step("break"):
            if job.params.how == "failed":
                raise OperationFailed("It broke. Fix it.")
            if job.params.how == "exit":
                raise SystemExit
            if job.params.how == "sql":
                job.connect().execute("SELECT * FROM nowhere")
            raise ZeroDivisionError(job.target.connection.password)


class Chatter(Operation):
    """An operation that writes a lot of output, including its password."""

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
    operation.kind: operation for operation in (Look, Sleep, Change, Count, Note, Flood, Break, Chatter)
}


def install() -> None:
    """Register the operations, in a separate process."""
    registry.OPERATIONS.add(*KINDS.values())
