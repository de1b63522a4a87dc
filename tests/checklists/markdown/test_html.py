"""Markdown is rendered as safe HTML."""

from __future__ import annotations

import pytest

from checklists.markdown import block_html, inline_html


def test_inline_markup_is_rendered() -> None:
    assert inline_html("**a** `b<c` ~~d~~") == "<strong>a</strong> <code>b&lt;c</code> <s>d</s>"


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href=javascript:x>y</a>", "<b>bold"],
)
def test_raw_html_is_escaped(text: str) -> None:
    for html in (inline_html(text), block_html(text)):
        assert text.replace("<", "&lt;").replace(">", "&gt;") in html


@pytest.mark.parametrize("url", ["http://a.org", "https://a.org/?q=1&r=2", "mailto:a@a.org", "HTTPS://a.org"])
def test_web_and_mail_links_are_rendered(url: str) -> None:
    html = inline_html(f"[text]({url})")
    assert html.startswith('<a href="')
    assert 'rel="noopener noreferrer nofollow"' in html


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "docs/x.md",
        "//evil.org",
        "file:///etc/passwd",
    ],
)
def test_other_links_are_replaced_by_their_text(url: str) -> None:
    html = inline_html(f"[text]({url})")
    assert "<a" not in html
    assert "text" in html


def test_images_are_replaced_by_their_text() -> None:
    assert inline_html("![the *alt*](https://a.org/x.png)") == "the alt"


def test_comments_are_not_rendered() -> None:
    assert inline_html("a <!-- secret --> b") == "a  b"
    assert block_html("<!-- secret -->") == ""


def test_blocks_have_no_inline_styles_and_no_headings() -> None:
    html = block_html("# Big\n\n| a |\n|:-:|\n| b |\n\n```bash\nls\n```\n")
    assert "style" not in html
    assert "<h1" not in html
    assert "<strong>Big</strong>" in html


def test_overlong_text_is_escaped_but_not_parsed() -> None:
    assert inline_html("<" * 6000) == "&lt;" * 6000
    assert block_html("[" * 6000) == f"<p>{'[' * 6000}</p>"
