"""Parsing of documents in many styles."""

from __future__ import annotations

from datetime import timedelta
from textwrap import dedent

import pytest

from checklists.markdown import GateRules, ItemKind, ParsedTemplate, Routine, Stage, parse, render

OPERATIONS = {"migrate": ("lock_timeout_s",), "backup": ()}


def read(source: str, filename: str = "") -> ParsedTemplate:
    return parse(dedent(source).lstrip("\n"), filename=filename, operations=OPERATIONS)


def texts(template: ParsedTemplate) -> list[str]:
    return [item.text for item in template.walk_items()]


def outline(template: ParsedTemplate) -> list[tuple[str, list[str]]]:
    return [(phase.title, [section.title for section in phase.sections]) for phase in template.phases]


def test_headings_make_phases_and_sections() -> None:
    found = read("# Title\n\n## A\n- [ ] a\n### B\n- [ ] b\n## C\n### D\n- [ ] d\n")
    assert found.title == "Title"
    assert outline(found) == [("A", ["", "B"]), ("C", ["D"])]


@pytest.mark.parametrize("marker", ["- [ ]", "* [ ]", "+ [x]", "1. [X]", "7) [ ]"])
def test_every_kind_of_list_may_contain_items(marker: str) -> None:
    assert texts(read(f"{marker} one\n")) == ["one"]


def test_nested_items_are_sub_items() -> None:
    (item,) = read("- [ ] a\n  - [ ] b\n    - [ ] c\n  - [ ] d\n").sections[0].items
    assert [child.text for child in item.children] == ["b", "d"]
    assert item.children[0].children[0].text == "c"


def test_an_entry_without_a_checkbox_groups_its_items() -> None:
    (item,) = read("1. Security\n   - [ ] a\n   - [ ] b\n").sections[0].items
    assert item.text == "Security"
    assert [child.text for child in item.children] == ["a", "b"]


def test_items_in_a_quotation_are_items() -> None:
    assert texts(read("> **Note**\n>\n> - [ ] a\n")) == ["a"]


def test_items_between_plain_entries_keep_their_order() -> None:
    (section,) = read("- plain\n- [ ] a\n- more\n- [ ] b\n").sections
    assert [type(block).__name__ for block in section.blocks] == [
        "ParsedNote",
        "ParsedItem",
        "ParsedNote",
        "ParsedItem",
    ]


def test_sloppy_checkboxes_are_recognized() -> None:
    assert texts(read("- [] a\n- [ ]b\n- [ ](https://example.org) is a link\n- [ ] c\n")) == ["a", "b", "c"]


def test_a_document_without_headings_is_one_phase_named_after_the_file() -> None:
    found = read("- [ ] a\n", filename="docs/go_live-list.md")
    assert found.title == "go live list"
    assert outline(found) == [("Checklist", [""])]


def test_items_directly_below_the_title_get_their_own_phase() -> None:
    found = read("# Go live\n\nRead this.\n\n- [ ] a\n\n## Later\n\n- [ ] b\n")
    assert found.title == "Go live"
    assert outline(found) == [("Checklist", [""]), ("Later", [""])]


def test_several_first_level_headings_are_phases() -> None:
    assert outline(read("# A\n- [ ] a\n## B\n- [ ] b\n# C\n- [ ] c\n")) == [("A", ["", "B"]), ("C", [""])]


def test_unused_heading_levels_are_ignored() -> None:
    assert outline(read("# T\n#### A\n- [ ] a\n###### B\n- [ ] b\n")) == [("A", ["", "B"])]


def test_titles_of_deeper_sections_include_their_parents() -> None:
    found = read("# T\n## A\n### B\n#### C\n- [ ] c\n#### D\n- [ ] d\n### E\ntext\n#### F\n- [ ] f\n")
    assert outline(found) == [("A", ["B › C", "B › D", "E", "E › F"])]


def test_underlined_headings_and_front_matter_are_supported() -> None:
    found = read("---\ntitle: x\n---\n\nGo\nlive\n=======\n\nA #\n---\n\n- [ ] a\n")
    assert found.title == "Go live"
    assert found.phases[0].title == "A \\#"


def test_code_blocks_are_commands_and_other_text_is_notes() -> None:
    (section,) = read(
        "## A\n\nRead.\n\n```bash\nls -l\n```\n\n    make\n\n| a |\n|---|\n| b |\n\n- [ ] a\n"
    ).sections
    assert [(block.language, block.source) for block in section.commands] == [("bash", "ls -l"), ("", "make")]
    assert [note.text for note in section.notes] == ["Read.", "| a |\n| --- |\n| b |"]


def test_content_below_an_item_belongs_to_it() -> None:
    (item,) = read("- [ ] a\n\n  Because.\n\n  ```sql\n  SELECT 1;\n  ```\n  - [ ] b\n").sections[0].items
    assert len(item.notes) == 2
    assert [child.text for child in item.children] == ["b"]


def test_multi_line_text_becomes_one_line() -> None:
    assert texts(read("- [ ] a\n  b\\\n  c\n")) == ["a b c"]


def test_items_inherit_role_and_due_time() -> None:
    found = read(
        """
        ## A <!-- due: -1w, role: dba -->
        - [ ] a
        ### B <!-- role: cto -->
        - [ ] b <!-- due: +90m -->
          - [ ] c
          - [ ] d <!-- role: qa_lead -->
        """
    )
    assert [(item.text, item.role, item.due) for item in found.walk_items()] == [
        ("a", "dba", timedelta(weeks=-1)),
        ("b", "cto", timedelta(minutes=90)),
        ("c", "cto", timedelta(minutes=90)),
        ("d", "qa_lead", timedelta(minutes=90)),
    ]


def test_a_zero_offset_overrides_the_inherited_due_time() -> None:
    found = read("## A <!-- due: -2h -->\n- [ ] a <!-- due: +0h -->\n")
    assert [item.due for item in found.walk_items()] == [timedelta()]


def test_an_operation_has_parameters() -> None:
    (item,) = read("- [ ] a <!-- operation: migrate, lock_timeout_s: 5, evidence: true -->\n").walk_items()
    assert (item.kind, item.operation, item.params) == (ItemKind.OPERATION, "migrate", {"lock_timeout_s": 5})
    assert item.evidence


def test_values_may_be_quoted_and_annotations_may_be_split() -> None:
    source = '- [ ] a <!-- operation: op, x: "a, \\"b\\": c", n: 7, s: "7", f: 007 --> <!-- role: dba -->\n'
    (item,) = parse(source, operations={"op"}).walk_items()
    assert item.params == {"x": 'a, "b": c', "n": 7, "s": "7", "f": "007"}
    assert item.role == "dba"


def test_comments_other_than_annotations_are_ignored() -> None:
    found = read("<!-- toc -->\n## A <!-- omit in toc -->\n- [ ] a <!-- see https://example.org -->\n")
    assert outline(found) == [("A", [""])]
    assert texts(found) == ["a"]


def test_a_section_is_split_at_items_with_another_stage() -> None:
    found = read("## A <!-- stage: post -->\n- [ ] a\n- [ ] b <!-- stage: week -->\n- [ ] c\n")
    assert [(section.stage, section.continued) for section in found.sections] == [
        (Stage.POST, False),
        (Stage.WEEK, True),
        (Stage.POST, True),
    ]


def test_routines_come_from_the_annotation_or_the_title() -> None:
    found = read(
        """
        ## Later <!-- stage: ongoing -->
        ### Daily
        - [ ] a
        ### Each Friday <!-- routine: weekly -->
        - [ ] b
        """
    )
    assert list(found.routines) == [Routine.DAILY, Routine.WEEKLY]


def test_the_words_of_a_heading_determine_its_stage() -> None:
    found = read(
        """
        ## Pre-flight, before we start
        - [ ] a
        ## Deployment
        - [ ] b
        ### After it
        - [ ] c
        ## Week 1 post release
        ### Daily checks
        - [ ] d
        ## Ongoing
        ### Monthly
        - [ ] e
        ## Rollback
        Text.
        """
    )
    assert [section.stage for section in found.sections] == [
        Stage.PRE,
        Stage.DEPLOY,
        Stage.POST,
        Stage.WEEK,
        Stage.ONGOING,
        Stage.REFERENCE,
    ]


def test_an_explicit_stage_overrides_the_words_of_sections() -> None:
    found = read("## A <!-- stage: week -->\n### Pre-deployment\n- [ ] a\n")
    assert found.sections[0].stage is Stage.WEEK


def test_signature_lines_are_slots_and_not_items() -> None:
    found = read(
        """
        ## Sign-off
        ### Approval <!-- gate: pre -->
        - [ ] Database Administrator: ____ Date: ____ <!-- sign: pre, role: dba -->
        - [ ] ____ <!-- sign: pre, role: cto -->
        ## Done
        - [x] Quality <!-- sign: post, role: qa_lead -->
        """
    )
    assert [(gate.key, gate.title, [slot.label for slot in gate.slots]) for gate in found.gates] == [
        ("pre", "Approval", ["Database Administrator", "CTO/Tech Lead"]),
        ("post", "Done", ["Quality"]),
    ]
    assert texts(found) == []


def test_keys_are_unique_slugs() -> None:
    found = read("## A b\n### C!\n- [ ] Same `text`\n- [ ] same text\n- [ ] Größe: 5 > 3\n- [ ] !!\n")
    assert [item.key for item in found.walk_items()] == [
        "a-b/c/same-text",
        "a-b/c/same-text-2",
        "a-b/c/größe-5-3",
        "a-b/c/untitled",
    ]


def test_keys_fit_into_the_database_column() -> None:
    long = "word " * 500
    found = read(f"## {long[:290]}\n### {long[:290]}\n- [ ] {long}\n- [ ] {long}\n")
    assert max(len(item.key) for item in found.walk_items()) < 200


def test_line_numbers_are_those_of_the_file() -> None:
    found = read("# T\n\n## A\n\n- [ ] a\n\n  text\n\n  - [ ] b\n")
    assert [(item.text, item.line) for item in found.walk_items()] == [("a", 5), ("b", 9)]


def test_all_unicode_spaces_are_normalized() -> None:
    assert texts(read("-\u00a0[ ]\u00a0a\u2028b\n- [ ] c\n")) == ["a b", "c"]


def test_windows_line_ends_are_supported() -> None:
    assert texts(parse("## A\r\n- [ ] a\r\n- [ ] b\r\n")) == ["a", "b"]


def test_gates_have_rules_and_signature_lines_have_quorums() -> None:
    source = (
        "## A\n### Approval <!-- gate: pre, creator: false, requires: test_restore, within: 36h -->\n"
        "- [ ] DBA: ____ <!-- sign: pre, role: dba, quorum: 2 -->\n"
        "## Done <!-- gate: post -->\n- [ ] QA: ____ <!-- sign: post, role: qa_lead -->\n"
    )
    first, second = parse(source, operations={"test_restore"}).gates
    assert first.rules == GateRules(creator=False, requires="test_restore", within=timedelta(hours=36))
    assert [slot.quorum for slot in first.slots] == [2]
    assert second.rules == GateRules()
    assert [slot.quorum for slot in second.slots] == [1]
    exported = render(parse(source, operations={"test_restore"}))
    assert "<!-- gate: pre, creator: false, requires: test_restore, within: 36h -->" in exported
    assert "<!-- sign: pre, role: dba, quorum: 2 -->" in exported
