"""What reaches a page is harmless."""

from __future__ import annotations

import pytest

from checklists.markdown import block_html, inline_html


def test_inline_markup_is_shown() -> None:
    assert inline_html("**a** `b<c` ~~d~~") == "<strong>a</strong> <code>b&lt;c</code> <s>d</s>"


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href=javascript:x>y</a>", "<b>bold"],
)
def test_html_is_shown_instead_of_obeyed(text: str) -> None:
    for shown in (inline_html(text), block_html(text)):
        assert text.replace("<", "&lt;").replace(">", "&gt;") in shown


@pytest.mark.parametrize(
    "address", ["http://a.org", "https://a.org/?q=1&r=2", "mailto:a@a.org", "HTTPS://a.org"]
)
def test_links_to_the_web_and_to_mail_are_links(address: str) -> None:
    shown = inline_html(f"[text]({address})")
    assert shown.startswith('<a href="')
    assert 'rel="noopener noreferrer nofollow"' in shown


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "docs/x.md",
        "//evil.org",
        "file:///etc/passwd",
    ],
)
def test_other_links_keep_their_text_only(address: str) -> None:
    shown = inline_html(f"[text]({address})")
    assert "<a" not in shown
    assert "text" in shown


def test_pictures_are_not_fetched() -> None:
    assert inline_html("![the *alt*](https://a.org/x.png)") == "the alt"


def test_comments_are_invisible() -> None:
    assert inline_html("a <!-- secret --> b") == "a  b"
    assert block_html("<!-- secret -->") == ""


def test_blocks_use_no_inline_style_and_no_headings() -> None:
    shown = block_html("# Big\n\n| a |\n|:-:|\n| b |\n\n```bash\nls\n```\n")
    assert "style" not in shown
    assert "<h1" not in shown
    assert "<strong>Big</strong>" in shown


def test_endless_text_is_shown_without_being_read_as_markdown() -> None:
    assert inline_html("<" * 6000) == "&lt;" * 6000
    assert block_html("[" * 6000) == f"<p>{'[' * 6000}</p>"
