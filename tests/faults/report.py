"""What `make faults` adds to pytest: the longest tests first, and at the end one line for each fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS


@dataclass
class Evidence:
    """What the tests of one fault came to."""

    outcomes: dict[str, str] = field(default_factory=dict)
    seen: dict[str, None] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """A test that could not be run here proves nothing."""
        for outcome in ("failed", "skipped"):
            if outcome in self.outcomes.values():
                return {"failed": "BROKEN", "skipped": "NOT TRIED"}[outcome]
        return "holds" if self.outcomes else "NOT TRIED"

    @property
    def words(self) -> str:
        """What was measured."""
        wrong = [f"{test} {outcome}" for test, outcome in self.outcomes.items() if outcome != "passed"]
        return "; ".join([*wrong, *self.seen]) or f"{len(self.outcomes)} tests passed"


class FaultReport:
    """Gathers reports, from parallel workers as well, and prints them by number."""

    def __init__(self) -> None:
        self._by_number: dict[int, Evidence] = defaultdict(Evidence)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        numbers = [value for name, value in report.user_properties if name == "fault"]
        for number in numbers:
            evidence = self._by_number[int(str(number))]
            if report.outcome != "passed" or report.nodeid not in evidence.outcomes:
                evidence.outcomes[report.nodeid] = report.outcome
            if report.when == "teardown":
                told = [str(value) for name, value in report.user_properties if name == "seen"]
                evidence.seen |= dict.fromkeys(told)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self._not_shown():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("faults")
        for number, fault in FAULTS.items():
            evidence = self._by_number[number]
            line = f"{number:2} {evidence.verdict:9} {fault.name} | expected: {fault.expected}"
            terminalreporter.write_line(
                f"{line} | seen: {evidence.words}", green=evidence.verdict == "holds", red=_is_bad(evidence)
            )
        bad = self._not_shown()
        terminalreporter.write_line(
            f"Not shown to hold: {', '.join(map(str, bad))}." if bad else f"All {len(FAULTS)} faults hold."
        )

    def _not_shown(self) -> Sequence[int]:
        return [number for number in FAULTS if _is_bad(self._by_number[number])]


def _is_bad(evidence: Evidence) -> bool:
    return evidence.verdict != "holds"


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that prints, not one of its parallel workers
        config.pluginmanager.register(FaultReport(), "fault report")


@pytest.hookimpl(trylast=True)  # after whoever shuffles
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [("fault", number) for number in _faults_of(item)]
    # What takes minutes begins at once, beside everything else.
    items.sort(key=_seconds_of, reverse=True)


def _faults_of(item: pytest.Item) -> Iterable[int]:
    return [number for marker in item.iter_markers("fault") for number in marker.args]


def _seconds_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return marker.args[0] if marker else 0.0
