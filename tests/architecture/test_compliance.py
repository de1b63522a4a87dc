"""docs/compliance.md cites existing tests and covers every requirement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "compliance.md"

# 21 CFR Part 11, subparts B and C.
PART_11 = [
    *(f"11.10({letter})" for letter in "abcdefghijk"),
    "11.30",
    *("11.50(a)", "11.50(b)", "11.70"),
    *(f"11.100({letter})" for letter in "abc"),
    *(f"11.200(a)({number})" for number in (1, 2, 3)),
    "11.200(b)",
    *(f"11.300({letter})" for letter in "abcde"),
]
# The openings of a line without a test: an organizational measure, or not applicable.
WHY_NO_TEST = ("By the operator", "Not applicable")

# OWASP ASVS 5.0.0: the number of requirements in each section of each chapter.
CHAPTERS = {
    1: (2, 10, 12, 3, 3),
    2: (3, 3, 5, 2),
    3: (1, 3, 5, 8, 8, 1, 5),
    4: (5, 5, 2, 4),
    5: (1, 6, 3, 3),
    6: (3, 12, 8, 6, 8, 4, 2, 4),
    7: (3, 4, 2, 5, 3, 2),
    8: (4, 4, 3, 2),
    9: (3, 4),
    10: (2, 3, 5, 16, 5, 2, 3),
    11: (4, 5, 5, 4, 2, 2, 2),
    12: (5, 2, 5),
    13: (4, 6, 4, 7),
    14: (2, 8, 3),
    15: (5, 5, 7, 4),
    16: (1, 5, 4, 3, 4),
    17: (2, 8, 2),
}
KNOWN = {
    f"{chapter}.{section}.{number}"
    for chapter, sections in CHAPTERS.items()
    for section, count in enumerate(sections, start=1)
    for number in range(1, count + 1)
}
_LEVEL_3 = """
    1.2.10 1.3.12 1.5.3 2.3.5 2.4.2
    3.1.1 3.2.3 3.3.5 3.4.7 3.4.8 3.5.6 3.5.7 3.5.8 3.6.1 3.7.3 3.7.4 3.7.5
    4.1.4 4.1.5 4.2.2 4.2.3 4.2.4 4.2.5 5.2.4 5.2.5 5.2.6 5.3.3
    6.3.5 6.3.6 6.3.7 6.3.8 6.4.5 6.4.6 6.5.6 6.5.7 6.5.8 6.6.4 6.7.1 6.7.2 7.5.3
    8.1.3 8.1.4 8.2.4 8.3.2 8.3.3 8.4.2 10.2.3 10.3.5 10.4.12 10.4.13 10.4.14 10.4.15 10.4.16
    11.1.3 11.1.4 11.2.4 11.2.5 11.3.4 11.3.5 11.5.2 11.6.2 11.7.1 11.7.2 12.1.4 12.1.5 12.3.5
    13.1.2 13.1.3 13.1.4 13.2.6 13.3.3 13.3.4 13.4.6 13.4.7 14.2.5 14.2.6 14.2.7 14.2.8
    15.1.4 15.1.5 15.2.4 15.2.5 15.4.1 15.4.2 15.4.3 15.4.4 16.5.4
    17.1.2 17.2.5 17.2.6 17.2.7 17.2.8
"""
LEVEL_3 = set(_LEVEL_3.split())
# Covered requirements of level 3: step-up, dual approval, signing.
_COVERED_LEVEL_3 = """
    2.3.5 4.1.5 6.3.5 6.3.6 6.3.7 6.3.8 6.4.6 6.5.6 6.5.7 6.5.8 6.7.1 6.7.2 7.5.3 8.3.2 8.3.3
    11.2.4 11.2.5 13.3.3 15.4.2 16.5.4
"""
COVERED_LEVEL_3 = set(_COVERED_LEVEL_3.split())
# The evidence that a line must cite, by its status.
STATUSES = {
    "met": "a test",
    "documented": "a page",
    "by library": "",
    "by configuration": "",
    "not applicable": "",
    "not met": "",
}

TEST_REFERENCE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[\w-]+)?\)")
MAX_TESTS = 5


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes:
        cells: the text of its cells.
    """

    cells: tuple[str, ...]

    @property
    def name(self) -> str:
        """The paragraph or the requirements."""
        return self.cells[0]

    @property
    def tests(self) -> list[tuple[str, str]]:
        """The cited tests as pairs of file and function."""
        return TEST_REFERENCE.findall(self.cells[-1])


def _lines(*, columns: int, first: str) -> Iterator[Line]:
    """Yield the lines of all tables with this many columns and this first heading."""
    inside = False
    for text in PAGE.read_text(encoding="utf-8").splitlines():
        cells = tuple(cell.strip() for cell in text.strip("|").split("|"))
        if not text.startswith("|"):
            inside = False
        elif cells[0] == first:
            inside = True
            assert len(cells) == columns
        elif inside and not set(cells[0]) <= {"-"}:
            assert len(cells) == columns, f"wrong number of columns: {text[:80]}"
            yield Line(cells)


PARAGRAPHS = list(_lines(columns=4, first="paragraph"))
REQUIREMENTS = list(_lines(columns=5, first="requirement"))


def numbers(text: str) -> list[str]:
    """Return the requirement numbers in a text such as `1.2.3, 1.2.5–1.2.7`."""
    found: list[str] = []
    for part in text.split(", "):
        first, dash, last = part.partition("–")
        if not dash:
            found.append(first)
            continue
        section, start = first.rsplit(".", 1)
        also_section, end = last.rsplit(".", 1)
        assert section == also_section, f"{part} spans two sections"
        found += [f"{section}.{number}" for number in range(int(start), int(end) + 1)]
    return found


@cache
def _tests_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_cited_test_exists() -> None:
    cited = {test for line in [*PARAGRAPHS, *REQUIREMENTS] for test in line.tests}
    missing = sorted(f"{path}::{name}" for path, name in cited if name not in _tests_in(path))

    assert len(cited) > 100
    assert not missing, "docs/compliance.md cites missing tests:\n" + "\n".join(missing)


def test_every_test_reference_is_recognized() -> None:
    page = PAGE.read_text(encoding="utf-8")
    read = sum(len(line.tests) for line in [*PARAGRAPHS, *REQUIREMENTS])

    # Except the file in the introduction. A misspelled reference or one in another column would not be read.
    assert page.count("::test_") == read
    assert page.count("`tests/") == read + 1


def test_a_line_cites_a_few_tests_and_each_once() -> None:
    wrong = [
        line.name
        for line in [*PARAGRAPHS, *REQUIREMENTS]
        if not len(set(line.tests)) == len(line.tests) <= MAX_TESTS
    ]
    assert wrong == []


def test_every_paragraph_of_part_11_has_a_line_in_order() -> None:
    assert [line.name for line in PARAGRAPHS] == PART_11


def test_each_paragraph_cites_a_test_or_explains_why_not() -> None:
    unproven = [
        line.name for line in PARAGRAPHS if not line.tests and not line.cells[2].startswith(WHY_NO_TEST)
    ]
    assert unproven == []


def test_exactly_the_level_3_requirements_are_marked() -> None:
    wrong = [
        line.name
        for line in REQUIREMENTS
        if bool(LEVEL_3 & set(numbers(line.name))) != line.cells[1].endswith("(level 3)")
    ]
    assert wrong == []


def test_the_requirement_numbers_are_complete_and_unique() -> None:
    stated = [number for line in REQUIREMENTS for number in numbers(line.name)]

    assert set(stated) - KNOWN == set(), "the standard has no such requirement"
    assert sorted(number for number in set(stated) if stated.count(number) > 1) == []
    assert KNOWN - LEVEL_3 - set(stated) == set(), "requirements of level 1 or 2 without a line"
    assert COVERED_LEVEL_3 - set(stated) == set(), "covered requirements of level 3 without a line"


def test_each_status_has_the_required_evidence() -> None:
    wrong = []
    for line in REQUIREMENTS:
        status, how = line.cells[2], line.cells[3]
        needs = {"a test": bool(line.tests), "a page": bool(LINK.search(how)), "": True}
        if status not in STATUSES or not how or not needs[STATUSES[status]]:
            wrong.append(f"{line.name} ({status}): {how}")
    assert wrong == []


def test_every_linked_page_exists() -> None:
    links = LINK.findall(PAGE.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (PAGE.parent / link).exists()]

    assert missing == []


def test_the_image_excludes_history_and_secrets() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".env", "secrets", ".deployctl*"} <= set(ignored)
