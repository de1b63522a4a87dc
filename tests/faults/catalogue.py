"""The faults that deployctl survives, by number: what goes wrong, and what is expected of it then.

A test proves one with `@pytest.mark.fault(number)`; `make faults` prints them all with what was seen.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    """One of them, in words."""

    name: str
    expected: str


FAULTS: Mapping[int, Fault] = {
    1: Fault(
        "kill -9 of a worker in the middle of a backup",
        "children and sessions gone within 2 s; interrupted within lease plus one sweep; only a .partial is "
        "left, never listed, removed later",
    ),
    2: Fault(
        "kill -9 of the pool process only",
        "the same; never recorded as a success; the worker goes on",
    ),
    3: Fault(
        "kill -9 in the middle of a migration",
        "unknown until a person decides; not tried again; the migration status is shown",
    ),
    4: Fault("Killed between commit and publish", "dispatched within 10 s, runs once"),
    5: Fault("Broker flushed with queued runs", "all dispatched again from the database, none doubled"),
    6: Fault(
        "Broker restarted during a run",
        "the run finishes with one effect; the live log goes on without a gap; the worker takes the next run",
    ),
    7: Fault(
        "Broker down five minutes",
        "pages work; a press is accepted as queued and says so; never a 500; afterwards it runs once",
    ),
    8: Fault(
        "Redelivery during a run, and one message 20 times",
        "one execution, ever",
    ),
    9: Fault("40 presses at once on one target", "one accepted, 39 told who runs what"),
    10: Fault(
        "Backup and restore of one target together",
        "the second refused, across workers and installations",
    ),
    11: Fault(
        "PostgreSQL restarted in the middle of a migration",
        "no claim of a rollback; the state is read back and shown",
    ),
    12: Fault(
        "Migration blocked by an idle transaction",
        "fails at the lock timeout, naming the session and its query",
    ),
    13: Fault(
        "Cancel",
        "process group and sessions gone within 5 s; the page says what state the target is in",
    ),
    14: Fault("Worker told to stop (TERM)", "the run completes or is marked; nothing lost"),
    15: Fault(
        "Disk full while dumping",
        "failed with the reason; the partial removed; earlier backups untouched",
    ),
    16: Fault(
        "One flipped bit in 100 random places of a backup",
        "verification fails 100 times, naming the file",
    ),
    17: Fault("Truncated, empty, missing, extra, swapped files", "each its own message"),
    18: Fault("Dump tool older than the server", "refused before the start, naming both versions"),
    19: Fault(
        "Restored content differs though every tool exited 0",
        "the test restore fails, naming the table",
    ),
    20: Fault("Restore fails half-way", "the original database is untouched and still serves"),
    21: Fault(
        "A dump that tries to run a program on the server",
        "no process appears; the restore fails with a reason",
    ),
    22: Fault(
        "Databases and users with hostile names",
        "the full cycle works or is refused; nothing connects elsewhere",
    ),
    23: Fault("One code used by ten threads in the same second", "one signature"),
    24: Fault(
        "Twenty wrong codes",
        "a growing delay per factor; audit entries; the right code then works after the delay",
    ),
    25: Fault(
        "Stolen or old session ids",
        "another id after sign-in; a new password or factor ends the other sessions",
    ),
    26: Fault(
        "One person in two slots of a gate; the creator where the template forbids it",
        "refused with the reason",
    ),
    27: Fault(
        "UPDATE and DELETE on audit entries",
        "refused to the application's role; a superuser's are found at the first broken entry; a cut tail is "
        "found against an exported head",
    ),
    28: Fault(
        "100 MB of log, a 10 MB line, NUL, ANSI, broken UTF-8, <script>, an awkward secret",
        "worker memory bounded; the browser stays usable; nothing executed; the secret nowhere",
    ),
    29: Fault(
        "Two workers and two web processes on one database and broker",
        "they share the work without a double run; a page of one shows what was done through the other",
    ),
}


def marked_tests() -> Mapping[int, Sequence[str]]:
    """Which tests prove which fault, as `tests/…/test_x.py::test_y`, read from the source."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                for number in _numbers(node):
                    found[number].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return found


def _numbers(function: ast.FunctionDef) -> Iterator[int]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
            yield from (ast.literal_eval(argument) for argument in decorator.args)
