"""Problems of templates are reported with file, line and a fix."""

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
    ("line", "expected"),
    [
        ("- [ ] a <!-- rol: dba -->", "did you mean “role”?"),
        ("- [ ] a <!-- TODO: later -->", "“todo” isn't an annotation for items"),
        ("- [ ] a <!-- routine: daily -->", "“routine” isn't an annotation for items"),
        ("- [ ] a <!-- operation: migrat -->", "There is no operation “migrat”; did you mean “migrate”?"),
        ("- [ ] a <!-- operation: shred -->", "known: backup, migrate."),
        ("- [ ] a <!-- check: tls -->", "There is no check “tls”; known: none."),
        ("- [ ] a <!-- operation: migrate, lock_timeout: 5 -->", "did you mean “lock_timeout_s”?"),
        ("- [ ] a <!-- operation: backup, check: tls -->", "can't have both an operation and a check"),
        ("- [ ] a <!-- role: boss -->", "There is no role “boss”"),
        ("- [ ] a <!-- role -->", "There is no role “True”"),
        ("- [ ] a <!-- due: soon -->", "“soon” isn't a valid due time"),
        ("- [ ] a <!-- due: 5 -->", "“5” isn't a valid due time"),
        ("- [ ] a <!-- due: +9999w -->", "more than ten years"),
        ("- [ ] a <!-- evidence: maybe -->", "“evidence” can't be “maybe”; write true or false"),
        ("- [ ] a <!-- stage: later -->", "There is no stage “later”"),
        ("- [ ] a <!-- stage: ongoing -->", "must be below a heading with `routine`"),
        ("- [ ] a <!-- role: dba, role: cto -->", "“role” is given twice"),
        ("- [ ] a <!-- role: dba --> <!-- role: cto -->", "“role” is given twice"),
        ("- [ ] a <!-- role: , due: -1h -->", "“role” has no value"),
        ('- [ ] a <!-- role: "dba -->', "isn't closed"),
        ('- [ ] a <!-- role: "dba" due: -1h -->', "A comma is missing"),
        ("- [ ] a <!-- role: 'dba' -->", "use straight double quotes"),
        ("- [ ] a <!-- role: dba --> b", "move it to the end of the line"),
        ("- [ ] a <!-- role: dba --", "begins with <!-- but isn't closed"),
        ("- [ ] <!-- role: dba -->", "has no text"),
        ("- [ ]", "has no text"),
        ("- [ ] a: ___ <!-- sign: pre -->", "A signature line needs a role"),
        ("- [ ] a: ___ <!-- sign: first, role: dba -->", "There is no gate “first”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, due: -1h -->", "remove “due”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum: 0 -->", "“quorum” can't be “0”"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum: two -->", "how many people must sign, from 1 to 9"),
        ("- [ ] a: ___ <!-- sign: pre, role: dba, quorum -->", "“quorum” can't be “True”"),
        ("- [ ] a <!-- quorum: 2 -->", "“quorum” is for signature lines"),
        ("- [ ] a <!-- creator: false -->", "“creator” isn't an annotation for items"),
        ("- plain <!-- role: dba -->", "isn't attached to anything"),
        ("<!-- stage: pre -->", "isn't attached to anything"),
        ("Text <!-- stage: pre -->", "isn't attached to anything"),
        ("## B <!-- check: tls -->", "“check” is for items"),
        ("## B <!-- stag: pre -->", "did you mean “stage”?"),
        ("## B <!-- stage: pre, routine: daily -->", "A routine can't have the stage “pre”"),
        ("## B <!-- routine: hourly -->", "There is no routine “hourly”"),
        ("## B <!-- routine: daily, due: -1h -->", "remove `due`"),
        ("## B <!-- gate: pre -->", "has no signature lines"),
        ("## B <!-- creator: false -->", "“creator” is a gate rule; put it next to `gate: pre`"),
        ("## B <!-- gate: pre, creator: nobody -->", "“creator” is “nobody”; write false"),
        ("## B <!-- gate: pre, requires: backup -->", "“requires” and “within” must be used together"),
        ("## B <!-- gate: pre, within: 7d -->", "“requires” and “within” must be used together"),
        ("## B <!-- gate: pre, requires: backups, within: 7d -->", "did you mean “backup”?"),
        ("## B <!-- gate: pre, requires: backup, within: -7d -->", "“-7d” isn't a valid duration"),
        ("## B <!-- gate: pre, requires: backup, within: 7 -->", "“7” isn't a valid duration"),
        ("##", "This heading has no text"),
        (f"## {'long ' * 80}", "longer than 300 characters"),
        ("    - [ ] code", "looks like an item"),
        ("[ ] no bullet", "looks like an item"),
    ],
)
def test_a_problem_is_reported_with_its_line(line: str, expected: str) -> None:
    found = problems(f"## A\n\n- [ ] good\n\ntext\n\n{line}\n")
    assert any(number == 7 and expected in message for number, message in found), found


def test_all_problems_are_reported_in_the_order_of_the_file() -> None:
    found = problems("## A <!-- stage: x -->\n- [ ] a <!-- role: x -->\n- [ ] b <!-- due: x -->\n")
    assert [line for line, _ in found] == [1, 2, 3]


def test_recurring_items_need_a_frequency() -> None:
    assert (
        "“A” is recurring but has no frequency" in problems("## A <!-- stage: ongoing -->\n- [ ] a\n")[0][1]
    )


def test_an_item_with_sub_items_cannot_have_an_operation() -> None:
    found = problems("- [ ] a <!-- operation: backup -->\n  - [ ] b\n")
    assert found == [
        (1, "An item with sub-items can't have its own operation; move “operation: backup” to a sub-item.")
    ]


def test_a_signature_line_cannot_be_a_sub_item() -> None:
    found = problems("- [ ] a\n  - [ ] b: ___ <!-- sign: pre, role: dba -->\n    - [ ] c\n")
    assert found[0] == (
        2,
        "A signature line can't be a sub-item or have content below it; move it to the top level.",
    )


def test_a_signature_below_another_gate_is_refused() -> None:
    found = problems("## A <!-- gate: post -->\n- [ ] b: ___ <!-- sign: pre, role: dba -->\n")
    assert "signs the gate “pre” but is below the gate “post”" in found[0][1]


def test_the_title_cannot_have_annotations() -> None:
    assert problems("# T <!-- stage: pre -->\n## A\n- [ ] a\n")[0][1].startswith(
        "The title can't have annotations"
    )


def test_items_nested_too_deep_are_refused() -> None:
    source = "".join(f"{'  ' * depth}- [ ] {depth}\n" for depth in range(7))
    assert "Items can be nested at most 5 deep" in problems(source)[0][1]


@pytest.mark.parametrize("source", ["", "# Title\n\nText.\n", "- a\n- b\n", "```\n- [ ] a\n```\n"])
def test_a_document_without_items_is_refused(source: str) -> None:
    assert problems(source) == [
        (0, "This template has no items; write each item on its own line as `- [ ] text`.")
    ]


def test_an_unclosed_comment_is_reported() -> None:
    found = problems("- [ ] a\n\n<!-- later\n\n- [ ] b\n")
    assert found == [(3, "A comment begins with <!-- but isn't closed; end it with -->.")]


def test_control_characters_are_refused_with_their_line() -> None:
    assert problems("- [ ] a\n- [ ] b\x00\n") == [
        (2, "This line contains the control character U+0000; remove it.")
    ]


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(TemplateErrors, match=r"x\.md:2: The file isn't UTF-8 text"):
        decode(b"- [ ] a\n- [ ] \xff\n", filename="x.md")


def test_a_byte_order_mark_is_removed() -> None:
    assert decode("\ufeff- [ ] a\n".encode()) == "- [ ] a\n"


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.md"
    path.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(TemplateErrors, match="larger than 1 MB"):
        read_file(path)
    with pytest.raises(TemplateErrors, match="larger than 1 MB"):
        parse("a" * (MAX_BYTES + 1))


def test_a_missing_file_and_a_folder_are_reported(tmp_path: Path) -> None:
    with pytest.raises(TemplateErrors, match="No such file"):
        read_file(tmp_path / "none.md")
    with pytest.raises(TemplateErrors, match="Is a directory"):
        read_file(tmp_path)


def test_too_many_items_are_refused() -> None:
    assert "There are 2001 items" in problems("- [ ] a\n" * 2001)[0][1]


def test_an_overlong_paragraph_is_refused_with_its_line() -> None:
    found = problems(f"- [ ] a\n\n{'[' * 200_000}\n")
    assert found == [(3, "This paragraph is longer than 5000 characters; split it with empty lines.")]


def test_hostile_documents_are_parsed_in_reasonable_time() -> None:
    for piece in ["[", "*a **b ", "`", "<!-- ", "> ", "- ", "|a|\n|-|\n", "![["]:
        parse(f"- [ ] a\n\n# b\n\n{piece * (1500 // len(piece))}\n\nend -->\n")
