"""The faults that deployctl survives, by number, each with the expected behavior.

A test proves one with `@pytest.mark.fault(number)`. `make faults` prints them all with the measurements.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    """A fault and the expected behavior."""

    name: str
    expected: str


FAULTS: Mapping[int, Fault] = {
    1: Fault(
        "A worker is killed (kill -9) during a backup",
        "Its processes and sessions end within 2 s. The run is interrupted within one lease plus one sweep. "
        "Only a .partial folder remains; it is never listed and is deleted later.",
    ),
    2: Fault(
        "Only the pool process is killed (kill -9)",
        "As above. The run is never recorded as a success, and the worker continues.",
    ),
    3: Fault(
        "A worker is killed (kill -9) during a migration",
        "The run stays unknown until a person decides. It is not retried, and its page shows the migration "
        "status.",
    ),
    4: Fault(
        "A process is killed between commit and publish",
        "The run is dispatched within 10 s and executed once.",
    ),
    5: Fault(
        "The broker is flushed while runs are queued",
        "All runs are dispatched again from the database, each once.",
    ),
    6: Fault(
        "The broker is restarted during a run",
        "The run is executed once and finishes. The live log has no gap, and the worker takes the next run.",
    ),
    7: Fault(
        "The broker is down for five minutes",
        "Pages work without a 500. A requested run is queued, its page says that no worker is reachable, "
        "and it is executed once afterwards.",
    ),
    8: Fault(
        "A message is redelivered during its run, or sent 20 times",
        "The run is executed exactly once.",
    ),
    9: Fault(
        "40 simultaneous requests for one target",
        "One is accepted. 39 are refused with the name of the person and the run.",
    ),
    10: Fault(
        "A backup and a restore of one target are requested at the same time",
        "The second is refused, across workers and installations.",
    ),
    11: Fault(
        "PostgreSQL is restarted during a migration",
        "The run does not claim a rollback; it reads the state back and shows it.",
    ),
    12: Fault(
        "A migration is blocked by an idle transaction",
        "It fails at the lock timeout and names the session and its query.",
    ),
    13: Fault(
        "A run is cancelled",
        "Its process group and sessions end within 5 s. The page shows the state of the target.",
    ),
    14: Fault(
        "A worker receives SIGTERM",
        "The run completes or is marked as unknown. Nothing is lost.",
    ),
    15: Fault(
        "The disk is full during a dump",
        "The run fails with the reason and deletes the partial backup. Earlier backups are unchanged.",
    ),
    16: Fault(
        "A single bit is flipped in 100 random places of a backup",
        "The verification fails 100 times and names the file.",
    ),
    17: Fault(
        "Files of a backup are truncated, empty, missing, extra or swapped",
        "Each kind of damage has its own message.",
    ),
    18: Fault(
        "The dump tool is older than the server",
        "The backup is refused before it starts, and the message names both versions.",
    ),
    19: Fault(
        "Restored content differs although every tool exited with 0",
        "The test restore fails and names the table.",
    ),
    20: Fault(
        "A restore fails halfway",
        "The original database is unchanged and still in service.",
    ),
    21: Fault(
        "A dump tries to run a program on the server",
        "The program is not started. The restore fails with a reason.",
    ),
    22: Fault(
        "Databases and roles have hostile names",
        "The full cycle works or is refused. Nothing connects to another host.",
    ),
    23: Fault(
        "Ten threads use one code in the same second",
        "Exactly one signature is created.",
    ),
    24: Fault(
        "Twenty wrong codes are entered",
        "The delay grows for each factor, and each attempt has an audit entry. The right code works after "
        "the delay.",
    ),
    25: Fault(
        "Session IDs are stolen or reused",
        "The session ID changes at sign-in. A new password or factor ends all other sessions.",
    ),
    26: Fault(
        "One person signs in two slots of a gate, or the creator signs although the template forbids it",
        "The signature is refused with the reason.",
    ),
    27: Fault(
        "UPDATE and DELETE on audit entries",
        "The application's role is refused. Changes by a superuser are detected at the first broken entry, "
        "and a truncated log is detected with an exported head.",
    ),
    28: Fault(
        "A log with 100 MB, a 10 MB line, NUL, ANSI codes, invalid UTF-8, <script> and a secret with special "
        "characters",
        "The memory of the worker is bounded, the browser stays usable, no script is executed, and the "
        "secret is masked everywhere.",
    ),
    29: Fault(
        "Two workers and two web processes share a database and a broker",
        "They share the runs and execute each once. Changes made through one web process appear live on "
        "pages of the other.",
    ),
}


def marked_tests() -> Mapping[int, Sequence[str]]:
    """Return the tests of each fault, as `tests/…/test_x.py::test_y`, from their source code."""
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
