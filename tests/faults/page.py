"""The table of docs/faults.md, made from the catalogue and from the marks of the tests.

`make docs` rewrites it; a test fails where it is out of date.
"""

from __future__ import annotations

import re

from tests.faults.catalogue import FAULTS, TESTS, marked_tests

PAGE = TESTS.parent / "docs" / "faults.md"
# The page's only table.
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.MULTILINE)


def table() -> str:
    """Every fault with what is expected and the tests that prove it, as Markdown."""
    tests = marked_tests()
    rows = ["| | fault | expected | tests |", "|---|---|---|---|"]
    for number, fault in FAULTS.items():
        proven_by = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests[number])
        rows.append(f"| {number} | {_cell(fault.name)} | {_cell(fault.expected)} | {proven_by} |")
    return "\n".join(rows) + "\n"


def in_page(page: str) -> str:
    """A page with the table in place of the one that it holds."""
    return TABLE.sub(lambda _: table(), page, count=1)


def _cell(text: str) -> str:
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
