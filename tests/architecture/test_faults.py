"""Every fault of the catalogue has a test, which docs/faults.md lists."""

from __future__ import annotations

from tests.faults import page
from tests.faults.catalogue import FAULTS, marked_tests


def test_every_fault_has_a_test_and_every_marked_test_a_fault() -> None:
    assert set(marked_tests()) == set(FAULTS) == set(range(1, len(FAULTS) + 1))


def test_the_documentation_is_up_to_date() -> None:
    text = page.PAGE.read_text(encoding="utf-8")

    assert page.in_page(text) == text, "docs/faults.md is out of date: run make docs"
