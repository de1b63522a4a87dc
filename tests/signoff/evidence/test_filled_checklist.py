"""The filled-in Markdown checklist."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from checklists import builtin
from checklists.markdown import ParsedItem, ParsedTemplate, parse
from checklists.markdown.fill_in import FilledSlot, ItemMark, fill
from checklists.template_parsing import known_operations
from signoff.evidence import filled_checklist
from signoff.models import EvidencePack


def parse_template(source: str) -> ParsedTemplate:
    return parse(source, operations=known_operations())


def bare_items(template: ParsedTemplate) -> list[ParsedItem]:
    """Return every item without its notes and sub-items."""
    return [replace(item, notes=(), children=()) for item in template.walk_items()]


HOSTILE = [
    "- [ ] no item of mine",
    "<!-- operation: drop -->",
    "# no heading\n\n- [x] and no item\n```",
    "` unclosed ``` code [link](javascript:alert(1)) <script>",
    "\u202eright to left\u0007 bell\u2028line",
    "x" * 5000,
    "_" * 2500,
    "   ",
    "# heading",
    "1. ordered",
    "- bullet",
    "===",
    "| a | b |",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["small", "healthcare"])
def test_any_user_content_leaves_the_template_unchanged(name: str, text: str) -> None:
    from tests.checklists.factories import SMALL

    source = SMALL if name == "small" else builtin.source("healthcare")
    template = parse_template(source)
    items = [*template.walk_items()][:20]
    marks = {item.line: ItemMark(ticked=True, notes=(text, "Seen.")) for item in items}
    signed = {slot.line: FilledSlot(text[:200], "2031-01-31") for slot in template.slots}
    again = parse_template(fill(source, marks, signed, [text, "Preface"]))
    assert bare_items(again) == bare_items(template)
    assert again.slots == template.slots
    assert again.title == template.title


@pytest.mark.parametrize(
    ("line", "filled"),
    [
        ("- [ ] Text", "- [x] Text\n  - Seen"),
        ("* [x] Text <!-- role: dba -->", "* [x] Text <!-- role: dba -->\n  - Seen"),
        ("1. [ ] Text", "1. [x] Text\n   - Seen"),
        ("> - [ ] Text", "> - [x] Text\n>   - Seen"),
        ("- [ ]Text", "- [x] Text\n  - Seen"),
        ("- [ ] Text\n  goes on", "- [x] Text\n  goes on\n  - Seen"),
        ("- - [ ] Text", "- - [x] Text\n    - Seen"),
    ],
)
def test_a_box_is_ticked_in_its_line_with_the_remark_below(line: str, filled: str) -> None:
    source = f"# List\n\n## Before\n\n{line}\n"
    assert f"\n{filled}\n" in fill(source, {5: ItemMark(ticked=True, notes=("Seen",))}, {})


def test_a_box_ticked_in_the_template_is_unticked_for_an_open_item() -> None:
    source = "# List\n\n## Before\n\n- [x] Text\n"
    assert "- [ ] Text" in fill(source, {5: ItemMark(ticked=False)}, {})


@pytest.mark.parametrize(
    ("line", "filled"),
    [
        ("DBA: ____ Date: ____", "DBA: __Dana__ Date: __today__"),
        (r"DBA: \_\_\_\_ Date: \_\_", "DBA: __Dana__ Date: __today__"),
        ("DBA: ____", "DBA: __Dana__ __today__"),
        ("DBA:", "DBA: __Dana__ Date: __today__"),
        ("DBA", "DBA: __Dana__ Date: __today__"),
    ],
)
def test_name_and_date_fill_the_blanks_of_a_signature_line(line: str, filled: str) -> None:
    comment = "<!-- sign: pre, role: dba -->"
    source = f"# List\n\n## Before\n\n- [ ] {line} {comment}\n"
    assert f"- [x] {filled} {comment}\n" in fill(source, {}, {5: FilledSlot("Dana", "today")})


def test_the_filled_checklist_shows_who_did_what(pack: EvidencePack) -> None:
    text = filled_checklist.render(json.loads(pack.content()), pack.digest)
    assert "- [x] Server is there <!-- role: dba -->\n  - Done by test, 20" in text
    assert "- [ ] Anybody checks this\n  - Waived by test" in text
    assert r'Nobody does; #eval("1") \] \*bold\* 😀 \<b\>' in text
    assert "- [x] Database Administrator: __Dana Baker__ Date: __20" in text
    assert "- [ ] QA Lead: ____ Date: ____" in text
    assert pack.digest in text
    original: dict[str, Any] = json.loads(pack.content())["contents"]["template"]
    assert bare_items(parse_template(text)) == bare_items(parse_template(original["source"]))
