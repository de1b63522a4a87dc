"""Inline and block Markdown as HTML that is safe to show: no raw HTML, links only to the web and to mail."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

from checklists.markdown.annotation import is_comment
from checklists.markdown.document import TooLong, markdown, plain_text

ALLOWED = ("http://", "https://", "mailto:")


def inline_html(text: str) -> str:
    """One line of Markdown, such as an item's text, as HTML without a surrounding paragraph."""
    try:
        return _render(markdown().parseInline(text))
    except TooLong:
        return escapeHtml(text)


def block_html(text: str) -> str:
    """A note as HTML. Headings in it become bold paragraphs, so that they never disturb the page's own."""
    try:
        return _render(markdown().parse(text))
    except TooLong:
        return f"<p>{escapeHtml(text)}</p>"


def _render(tokens: Sequence[Token]) -> str:
    for token in tokens:
        _tame(token)
        _tame_links(token.children or ())
        for child in token.children or ():
            _tame(child)
    return str(markdown().renderer.render(list(tokens), markdown().options, {})).strip()


def _tame(token: Token) -> None:
    """Leave nothing but harmless elements; the library escapes all text."""
    match token.type:
        case "html_inline" | "html_block":
            token.content = "" if is_comment(token.content) else token.content
            token.type = "text"
        case "image":
            # it would be fetched from somebody else's server by everyone who opens the page
            token.content, token.type = plain_text(token.children), "text"
        case "heading_open" | "heading_close":
            token.type, token.tag = "paragraph", "strong"
        case "td_open" | "th_open" | "fence" | "code_block":
            # alignment would come as an inline style, which the content security policy refuses
            token.attrs, token.info = {}, ""


def _tame_links(tokens: Sequence[Token]) -> None:
    """A link to anywhere else keeps its text only. Links do not nest, so the last opening one is meant."""
    allowed = False
    for token in tokens:
        if token.type == "link_open":
            allowed = str(token.attrs.get("href", "")).lower().startswith(ALLOWED)
            token.attrs["rel"] = "noopener noreferrer nofollow"
        if token.type in {"link_open", "link_close"} and not allowed:
            token.type, token.tag, token.attrs = "span", "span", {}
