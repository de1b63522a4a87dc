"""Generate the table of docs/faults.md from the catalogue of faults and the marks of the tests.

`make docs` rewrites the table. A test fails if it is out of date.
"""

from __future__ import annotations

import re

from tests.faults.catalogue import FAULTS, TESTS, marked_tests

PAGE = TESTS.parent / "docs" / "faults.md"
# The page's only table.
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)


def table() -> str:
    """Return a Markdown table of all faults, with the expected behavior and the tests."""
    tests = marked_tests()
    rows = ["| | Fault | Expected behavior | Tests |", "|---|---|---|---|"]
    for number, fault in FAULTS.items():
        names = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests[number])
        rows.append(f"| {number} | {_cell(fault.name)} | {_cell(fault.expected)} | {names} |")
    return "\n".join(rows) + "\n"


def in_page(page: str) -> str:
    """Return a page with its table replaced by the current one."""
    return TABLE.sub(lambda _: table(), page, count=1)


def _cell(text: str) -> str:
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
