"""Export and import of random documents preserve the template."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checklists.markdown import TemplateErrors, block_html, inline_html, parse, render

# Significant pieces of Markdown, to generate difficult documents.
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
def test_export_and_import_round_trip(before: str, after: str) -> None:
    try:
        first = parse(f"{before}\n\n- [ ] z\n{after}", filename="list.md", operations={"op"})
    except TemplateErrors:
        return  # invalid documents are rejected; any other exception is a bug
    exported = render(first)
    second = parse(exported, operations={"op"})
    assert second == first
    assert render(second) == exported


@settings(database=None, deadline=None, max_examples=200)
@given(DOCUMENTS)
def test_any_text_renders_as_safe_html(text: str) -> None:
    for html in (inline_html(text), block_html(text)):
        assert "<script" not in html
        assert "<div" not in html
        assert "<!--" not in html


@settings(database=None, deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_text_parses_or_has_problems(text: str) -> None:
    try:
        result = bool(parse(text).phases)
    except TemplateErrors as errors:
        result = bool(errors.problems)
    assert result
