"""Parse Markdown into a tree of blocks with the library markdown-it-py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

# Each list takes two levels. The library silently drops deeper blocks, so this is far above the nesting of
# items that the parser accepts.
MAX_NESTING = 80

# Characters per paragraph, heading or table cell. Parsing time is quadratic in the number of unclosed
# brackets: 0.03 s for this many, minutes for a file full of them.
MAX_INLINE = 5000

BOXES = ("[ ]", "[x]", "[X]")


class TooLong(ValueError):
    """A paragraph is too long to be parsed in reasonable time."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"This paragraph is longer than {MAX_INLINE} characters; split it with empty lines.")


@dataclass
class Node:
    """A block with its child blocks. Inline content remains a flat list of tokens."""

    type: str
    token: Token
    children: list[Node] = field(default_factory=list)

    @property
    def line(self) -> int:
        """The line on which the block begins, counted from 1."""
        return self.token.map[0] + 1 if self.token.map else 0

    @property
    def inline(self) -> Token | None:
        """The inline content of a paragraph, heading or table cell."""
        return self.children[0].token if self.children and self.children[0].type == "inline" else None

    @property
    def text(self) -> str:
        """The source of the inline content."""
        return self.inline.content if self.inline else ""

    def walk(self) -> Iterator[Node]:
        """Yield this block and all its descendants, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


@cache
def markdown() -> MarkdownIt:
    """Return the parser: CommonMark with GitHub's tables and strikethrough.

    Reference definitions (`[label]: URL`) are disabled and stay text, because each item is rendered alone.
    """
    parser = MarkdownIt("commonmark", {"html": True, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable("reference").use(front_matter_plugin)
    parser.core.ruler.after("block", "limit", _check_inline_length)
    return parser


def blocks(source: str) -> list[Node]:
    """Return the top-level blocks of a document.

    Raises:
        TooLong: a paragraph has more than `MAX_INLINE` characters.
    """
    return _tree(markdown().parse(source))


def plain_text(tokens: Sequence[Token] | None) -> str:
    """Return inline content without its markup."""
    parts = []
    for token in tokens or ():
        if token.type in {"text", "code_inline"}:
            parts.append(token.content)
        elif token.type == "image":
            parts.append(plain_text(token.children))
        elif token.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
    return " ".join("".join(parts).split())


def strip_markup(text: str) -> str:
    """Return inline Markdown without its markup."""
    return plain_text(markdown().parseInline(text)[0].children)


def one_line(text: str) -> str:
    """Return inline content on one line, without the backslashes of hard line breaks."""
    lines = [line.strip() for line in text.split("\n")]
    return " ".join([*(_without_hard_break(line) for line in lines[:-1]), lines[-1]]).strip()


def is_task(node: Node) -> bool:
    """Return True if a list item has a checkbox; `[]` and `[ ]text` count as one."""
    return task_text(node) is not None


def task_text(node: Node) -> str | None:
    """Return the text after the checkbox of a list item, or None if there is no checkbox."""
    if node.type != "list_item" or not node.children or node.children[0].type != "paragraph":
        return None
    return text_after_box(node.children[0].text)


def text_after_box(text: str) -> str | None:
    """Return what follows the checkbox at the start of `text`, or None if there is no checkbox."""
    for box in (*BOXES, "[]"):
        rest = text.removeprefix(box)
        if rest == text:
            continue
        if not rest or rest[0].isspace() or (box == "[ ]" and rest[0] not in "([:"):
            return rest.strip()
    return None


def contains_task(node: Node) -> bool:
    """Return True if this block contains a list item with a checkbox."""
    return any(is_task(inner) for inner in node.walk())


def looks_like_item(line: str) -> bool:
    """Return True if a line of text is probably meant to be an item."""
    body = line.strip()
    for marker in ("- ", "* ", "+ "):
        body = body.removeprefix(marker).lstrip()
    return body.startswith(tuple(f"{box} " for box in BOXES))


def _check_inline_length(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > MAX_INLINE:
            raise TooLong(token.map[0] + 1 if token.map else 0)


def _without_hard_break(line: str) -> str:
    backslashes = len(line) - len(line.rstrip("\\"))
    return line[:-1].rstrip() if backslashes % 2 else line


def _tree(tokens: Sequence[Token]) -> list[Node]:
    root: list[Node] = []
    open_nodes: list[Node] = []
    for token in tokens:
        if token.nesting < 0:
            open_nodes.pop()
            continue
        node = Node(token.type.removesuffix("_open"), token)
        (open_nodes[-1].children if open_nodes else root).append(node)
        if token.nesting > 0:
            open_nodes.append(node)
    return root
