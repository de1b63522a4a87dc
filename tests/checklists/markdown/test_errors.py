"""Every problem is named with its file, its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from checklists.markdown import MAX_BYTES, TemplateErrors, decode, parse, read_file


def problems(source: str) -> list[tuple[int, str]]:
    with pytest.raises(TemplateErrors) as raised:
        parse(source, filename="list.md", operations={"migrate": ("lock_timeout_s",), "backup": ()})
    assert all(str(problem).startswith("list.md") for problem in raised.value.problems)
    return [(problem.line, problem.message) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("- [ ] a <!-- rol: dba -->", "did you mean “role”?"),
        ("- [ ] a <!-- TODO: later -->", "“todo” is not an annotation of items"),
        ("- [ ] a <!-- routine: daily -->", "“routine” is not an annotation of items"),
        ("- [ ] a <!-- operation: migrat -->", "There is no operation “migrat”; did you mean “migrate”?"),
        ("- [ ] a <!-- operation: shred -->", "known: backup, migrate."),
        ("- [ ] a <!-- check: tls -->", "There is no check “tls”; known: none here."),
        ("- [ ] a <!-- operation: migrate, lock_timeout: 5 -->", "did you mean “lock_timeout_s”?"),
        ("- [ ] a <!-- operation: backup, check: tls -->", "an operation or a check, not both"),
        ("- [ ] a <!-- role: boss -->", "There is no role “boss”"),
        ("- [ ] a <!-- role -->", "There is no role “True”"),
        ("- [ ] a <!-- due: soon -->", "“soon” is not a due time"),
        ("- [ ] a <!-- due: 5 -->", "“5” is not a due time"),
        ("- [ ] a <!-- due: +9999w -->", "more than ten years"),
        ("- [ ] a <!-- evidence: maybe -->", "“evidence” is true or false"),
        ("- [ ] a <!-- stage: later -->", "There is no stage “later”"),
        ("- [ ] a <!-- stage: ongoing -->", "stand below a heading that says how often"),
        ("- [ ] a <!-- role: dba, role: cto -->", "“role” is given twice"),
        ("- [ ] a <!-- role: dba --> <!-- role: cto -->", "“role” is given twice"),
        ("- [ ] a <!-- role: , due: -1h -->", "“role” has no value"),
        ('- [ ] a <!-- role: "dba -->', "does not end"),
        ('- [ ] a <!-- role: "dba" due: -1h -->', "A comma is missing"),
        ("- [ ] a <!-- role: 'dba' -->", "use straight double quotes"),
        ("- [ ] a <!-- role: dba --> b", "put it at the end of the line"),
        ("- [ ] a <!-- role: dba --", "is opened with <!-- and not closed"),
        ("- [ ] <!-- role: dba -->", "has no text"),
        ("- [ ]", "has no text"),
        ("- [ ] a: ___ <!-- sign: pre -->", "needs the role that signs"),
        ("- [ ] a: ___ <!-- sign: first, role: dba -->", "There is no gate “first”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, due: -1h -->", "remove “due”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum: 0 -->", "1 to 9, not “0”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum: two -->", "how many different people sign"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum -->", "1 to 9, not “True”"),
        ("- [ ] a <!-- quorum: 2 -->", "“quorum” belongs to a signature line"),
        ("- [ ] a <!-- creator: false -->", "“creator” is not an annotation of items"),
        ("- plain <!-- role: dba -->", "belongs to nothing"),
        ("<!-- stage: pre -->", "belongs to nothing"),
        ("Text <!-- stage: pre -->", "belongs to nothing"),
        ("## B <!-- check: tls -->", "“check” belongs to an item"),
        ("## B <!-- stag: pre -->", "did you mean “stage”?"),
        ("## B <!-- stage: pre, routine: daily -->", "A routine recurs"),
        ("## B <!-- routine: hourly -->", "There is no routine “hourly”"),
        ("## B <!-- routine: daily, due: -1h -->", "remove `due`"),
        ("## B <!-- gate: pre -->", "has no signature lines"),
        ("## B <!-- creator: false -->", "“creator” is a rule of a gate; put it beside `gate: pre`"),
        ("## B <!-- gate: pre, creator: nobody -->", "“creator” is true or false, not “nobody”"),
        ("## B <!-- gate: pre, requires: backup -->", "says how long ago it may have been"),
        ("## B <!-- gate: pre, within: 7d -->", "says how long ago it may have been"),
        ("## B <!-- gate: pre, requires: backups, within: 7d -->", "did you mean “backup”?"),
        ("## B <!-- gate: pre, requires: backup, within: -7d -->", "“-7d” is not a length of time"),
        ("## B <!-- gate: pre, requires: backup, within: 7 -->", "“7” is not a length of time"),
        ("##", "This heading has no text"),
        (f"## {'long ' * 80}", "longer than 300 characters"),
        ("    - [ ] code", "looks like an item"),
        ("[ ] no bullet", "looks like an item"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, sentence: str) -> None:
    found = problems(f"## A\n\n- [ ] good\n\ntext\n\n{line}\n")
    assert any(number == 7 and sentence in message for number, message in found), found


def test_all_problems_are_collected_in_the_order_of_the_file() -> None:
    found = problems("## A <!-- stage: x -->\n- [ ] a <!-- role: x -->\n- [ ] b <!-- due: x -->\n")
    assert [line for line, _ in found] == [1, 2, 3]


def test_recurring_items_need_to_know_how_often() -> None:
    assert "How often does “A” recur?" in problems("## A <!-- stage: ongoing -->\n- [ ] a\n")[0][1]


def test_an_item_with_sub_items_cannot_be_an_operation_itself() -> None:
    found = problems("- [ ] a <!-- operation: backup -->\n  - [ ] b\n")
    assert found == [
        (1, "An item with sub-items is done when they are; move “operation: backup” to one of them.")
    ]


def test_a_signature_line_stands_alone() -> None:
    found = problems("- [ ] a\n  - [ ] b: ___ <!-- sign: pre, role: dba -->\n    - [ ] c\n")
    assert found[0] == (2, "A signature line stands alone: nothing above or below it in its list.")


def test_a_signature_below_another_gate_is_refused() -> None:
    found = problems("## A <!-- gate: post -->\n- [ ] b: ___ <!-- sign: pre, role: dba -->\n")
    assert "signs at “pre” below the gate “post”" in found[0][1]


def test_the_title_takes_no_annotations() -> None:
    assert problems("# T <!-- stage: pre -->\n## A\n- [ ] a\n")[0][1].startswith("The title takes no")


def test_items_nested_too_deep_are_refused() -> None:
    source = "".join(f"{'  ' * depth}- [ ] {depth}\n" for depth in range(7))
    assert "Items nest at most 5 deep" in problems(source)[0][1]


@pytest.mark.parametrize("source", ["", "# Title\n\nText.\n", "- a\n- b\n", "```\n- [ ] a\n```\n"])
def test_a_document_with_nothing_to_tick_is_refused(source: str) -> None:
    assert problems(source) == [
        (0, "There is nothing to tick here; write each promise on a line of its own as `- [ ] text`.")
    ]


def test_an_unclosed_comment_does_not_swallow_the_rest_in_silence() -> None:
    found = problems("- [ ] a\n\n<!-- later\n\n- [ ] b\n")
    assert found == [(3, "A comment is opened with <!-- and not closed; end it with -->.")]


def test_control_characters_are_refused_with_their_line() -> None:
    assert problems("- [ ] a\n- [ ] b\x00\n") == [
        (2, "This line holds the control character U+0000; remove it, or choose a text file.")
    ]


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(TemplateErrors, match=r"x\.md:2: The file is not text in UTF-8"):
        decode(b"- [ ] a\n- [ ] \xff\n", filename="x.md")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert decode("\ufeff- [ ] a\n".encode()) == "- [ ] a\n"


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.md"
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(TemplateErrors, match="larger than 1 MB"):
        read_file(path)
    with pytest.raises(TemplateErrors, match="larger than 1 MB"):
        parse("a" * (MAX_BYTES + 1))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateErrors, match="No such file"):
        read_file(tmp_path / "none.md")
    with pytest.raises(TemplateErrors, match="Is a directory"):
        read_file(tmp_path)


def test_more_items_than_anybody_keeps_are_refused() -> None:
    assert "There are 2001 items" in problems("- [ ] a\n" * 2001)[0][1]


def test_a_paragraph_that_never_ends_is_refused_with_its_line() -> None:
    found = problems(f"- [ ] a\n\n{'[' * 200_000}\n")
    assert found == [(3, "This paragraph is longer than 5000 characters; divide it by empty lines.")]


def test_a_hostile_document_is_read_in_reasonable_time() -> None:
    for piece in ["[", "*a **b ", "`", "<!-- ", "> ", "- ", "|a|\n|-|\n", "![["]:
        parse(f"- [ ] a\n\n# b\n\n{piece * (1500 // len(piece))}\n\nend -->\n")
