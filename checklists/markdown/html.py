"""Render Markdown as safe HTML: no raw HTML, no images, and only web and mail links."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token

from checklists.markdown.annotation import is_comment
from checklists.markdown.document import TooLong, markdown, plain_text

ALLOWED_SCHEMES = ("http://", "https://", "mailto:")


def inline_html(text: str) -> str:
    """Return the HTML of one line of Markdown, such as an item's text, without a surrounding paragraph."""
    try:
        return _render(markdown().parseInline(text))
    except TooLong:
        return escapeHtml(text)


def block_html(text: str) -> str:
    """Return the HTML of a note. Headings become bold paragraphs, to keep the outline of the page."""
    try:
        return _render(markdown().parse(text))
    except TooLong:
        return f"<p>{escapeHtml(text)}</p>"


def _render(tokens: Sequence[Token]) -> str:
    for token in tokens:
        _sanitize(token)
        _sanitize_links(token.children or ())
        for child in token.children or ():
            _sanitize(child)
    return str(markdown().renderer.render(list(tokens), markdown().options, {})).strip()


def _sanitize(token: Token) -> None:
    """Replace unsafe elements by text, which the library escapes."""
    match token.type:
        case "html_inline" | "html_block":
            token.content = "" if is_comment(token.content) else token.content
            token.type = "text"
        case "image":
            # every viewer's browser would request it from a third-party server
            token.content, token.type = plain_text(token.children), "text"
        case "heading_open" | "heading_close":
            token.type, token.tag = "paragraph", "strong"
        case "td_open" | "th_open" | "fence" | "code_block":
            # alignment uses inline styles, which the content security policy blocks
            token.attrs, token.info = {}, ""


def _sanitize_links(tokens: Sequence[Token]) -> None:
    """Replace links with other schemes by their text. Links cannot be nested."""
    allowed = False
    for token in tokens:
        if token.type == "link_open":
            allowed = str(token.attrs.get("href", "")).lower().startswith(ALLOWED_SCHEMES)
            token.attrs["rel"] = "noopener noreferrer nofollow"
        if token.type in {"link_open", "link_close"} and not allowed:
            token.type, token.tag, token.attrs = "span", "span", {}
