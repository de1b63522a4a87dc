"""A pytest plugin for `make faults`: run the longest tests first and print one line per fault at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS


@dataclass
class Evidence:
    """The results of the tests of one fault."""

    outcomes: dict[str, str] = field(default_factory=dict)
    seen: dict[str, None] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """The overall result. A skipped test proves nothing."""
        for outcome in ("failed", "skipped"):
            if outcome in self.outcomes.values():
                return {"failed": "FAILED", "skipped": "NOT TESTED"}[outcome]
        return "OK" if self.outcomes else "NOT TESTED"

    @property
    def summary(self) -> str:
        """The tests that did not pass, and the measurements."""
        problems = [f"{test} {outcome}" for test, outcome in self.outcomes.items() if outcome != "passed"]
        return "; ".join([*problems, *self.seen]) or f"{len(self.outcomes)} tests passed"


class FaultReport:
    """Collect the reports of all pytest workers and print them by the number of the fault."""

    def __init__(self) -> None:
        self._by_number: dict[int, Evidence] = defaultdict(Evidence)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        numbers = [value for name, value in report.user_properties if name == "fault"]
        for number in numbers:
            evidence = self._by_number[int(str(number))]
            if report.outcome != "passed" or report.nodeid not in evidence.outcomes:
                evidence.outcomes[report.nodeid] = report.outcome
            if report.when == "teardown":
                seen = [str(value) for name, value in report.user_properties if name == "seen"]
                evidence.seen |= dict.fromkeys(seen)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self._unproven():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("faults")
        for number, fault in FAULTS.items():
            evidence = self._by_number[number]
            line = f"{number:2} {evidence.verdict:10} {fault.name} | expected: {fault.expected}"
            terminalreporter.write_line(
                f"{line} | seen: {evidence.summary}",
                green=evidence.verdict == "OK",
                red=evidence.verdict != "OK",
            )
        unproven = self._unproven()
        terminalreporter.write_line(
            f"Failed or not tested: {', '.join(map(str, unproven))}."
            if unproven
            else f"All {len(FAULTS)} faults are handled as expected."
        )

    def _unproven(self) -> Sequence[int]:
        return [number for number in FAULTS if self._by_number[number].verdict != "OK"]


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the main process, not a parallel worker
        config.pluginmanager.register(FaultReport(), "fault report")


@pytest.hookimpl(trylast=True)  # after plugins that shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.user_properties += [("fault", number) for number in _faults_of(item)]
    # Tests that take minutes start first and run in parallel to the others.
    items.sort(key=_seconds_of, reverse=True)


def _faults_of(item: pytest.Item) -> Iterable[int]:
    return [number for marker in item.iter_markers("fault") for number in marker.args]


def _seconds_of(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return marker.args[0] if marker else 0.0
