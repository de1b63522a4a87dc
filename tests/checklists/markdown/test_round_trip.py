"""Import, export, import: the same template, whatever was imported."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checklists.markdown import TemplateErrors, block_html, inline_html, parse, render

# Pieces of Markdown that mean something, so that random documents are nasty ones.
PIECES = st.sampled_from(
    [
        *[
            "- [ ] ",
            "- [x] a",
            "* [ ] b",
            "- ",
            "+ ",
            "1. ",
            "2) ",
            "1234567890. ",
            "> ",
            "- - ",
            "[ ] ",
            "[]",
        ],
        *[
            "# ",
            "## ",
            "### ",
            "---",
            "===",
            "***",
            "\n",
            "\n\n",
            "\r\n",
            "  ",
            "    ",
            "\t",
            "\u2028",
            "\u00a0",
        ],
        *["`", "```", "~~~", "|", "|-|-|\n", "[x](http://a)", "[a]: b", "!", "\\", "#", "_", "*", "**", "<"],
        *["<div>", "</div>", "<script>", "&lt;", "<!-- ", "-->", "<!-- -->", "<!-- note -->"],
        *["<!-- role: dba -->", "<!-- due: -2h -->", "<!-- stage: post -->", "<!-- stage: week -->"],
        *["<!-- routine: daily -->", "<!-- gate: pre -->", "<!-- sign: pre, role: dba -->"],
        *["<!-- gate: pre, creator: false -->", "<!-- sign: pre, role: dba, quorum: 2 -->"],
        *["<!-- gate: post, requires: op, within: 90m -->", "- [ ] s: ___ <!-- sign: pre, role: cto -->"],
        *['<!-- operation: op, x: "a,`<>\\" -- b" -->', "a", "b c", "é", "\n- [ ] i\n", "\n  - [ ] k\n"],
    ]
)
DOCUMENTS = st.lists(PIECES, max_size=30).map("".join)


@settings(database=None, deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(before=DOCUMENTS, after=DOCUMENTS)
def test_what_was_imported_can_be_exported_and_imported_again(before: str, after: str) -> None:
    try:
        first = parse(f"{before}\n\n- [ ] z\n{after}", filename="list.md", operations={"op"})
    except TemplateErrors:
        return  # a refusal is an answer; anything else would be a defect
    exported = render(first)
    second = parse(exported, operations={"op"})
    assert second == first
    assert render(second) == exported


@settings(database=None, deadline=None, max_examples=200)
@given(DOCUMENTS)
def test_any_text_can_be_shown(text: str) -> None:
    for shown in (inline_html(text), block_html(text)):
        assert "<script" not in shown
        assert "<div" not in shown
        assert "<!--" not in shown


@settings(database=None, deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_text_is_a_template_or_a_list_of_problems(text: str) -> None:
    try:
        said = bool(parse(text).phases)
    except TemplateErrors as errors:
        said = bool(errors.problems)
    assert said
