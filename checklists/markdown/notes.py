"""Convert notes and commands to canonical Markdown, which survives export and import unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from checklists.markdown.document import Node, blocks, contains_task, one_line
from checklists.markdown.model import ParsedCommands, ParsedNote

_MAX_ROUNDS = 4
_SENTINEL = "end"


def note(nodes: Sequence[Node], line: int) -> ParsedNote | ParsedCommands:
    """Return a block, or several items of one list, as a note.

    A block without a stable Markdown form, such as unclosed HTML, becomes a code block with its literal text.
    """
    text = original = _list(nodes) if nodes[0].type == "list_item" else to_markdown(nodes[0])
    for _ in range(_MAX_ROUNDS):
        found = blocks(f"{text}\n\n{_SENTINEL}\n")
        if len(found) != 2 or found[1].text != _SENTINEL or not _is_note(found[0]):
            break
        again = to_markdown(found[0])
        if again == text:
            return ParsedNote(text, line)
        text = again
    return ParsedCommands(original.strip("\n"), "markdown", line)


def _is_note(node: Node) -> bool:
    """Return True if a block is a note, not items, a heading, commands or a comment."""
    if node.type == "html_block":
        return not node.token.content.lstrip().startswith("<!--")
    return node.type not in {"fence", "code_block", "heading", "hr", "front_matter"} and not contains_task(
        node
    )


def commands(node: Node) -> ParsedCommands:
    """Return a fenced or indented code block as commands."""
    words = node.token.info.split() if node.type == "fence" else []
    language = words[0] if words and all(c.isalnum() or c in "+-#._" for c in words[0]) else ""
    return ParsedCommands(node.token.content.removesuffix("\n"), language, node.line)


def fence(source: str, language: str) -> str:
    """Return a fenced code block whose fence is longer than any run of backticks in its content."""
    longest = max((len(list(run)) for character, run in groupby(source) if character == "`"), default=0)
    marks = "`" * max(3, longest + 1)
    body = f"{source}\n" if source else ""
    return f"{marks}{language}\n{body}{marks}"


def indent(text: str, width: int) -> str:
    """Indent a block by `width` spaces, except its empty lines."""
    margin = " " * width
    return "\n".join(margin + line if line else line for line in text.split("\n"))


def to_markdown(node: Node) -> str:
    """Return a block as unindented Markdown."""
    match node.type:
        case "paragraph":
            return _paragraph(node.text)
        case "heading":
            return f"{'#' * int(node.token.tag[1:])} {heading_text(node.text)}"
        case "bullet_list" | "ordered_list":
            return _list(node.children)
        case "blockquote":
            return "\n".join(f"> {line}".rstrip() for line in _joined(node.children).split("\n"))
        case "fence" | "code_block":
            block = commands(node)
            return fence(block.source, block.language)
        case "table":
            return _table(node)
        case "hr":
            return "___"
        case _:
            return node.token.content.rstrip().strip("\n")


def heading_text(text: str) -> str:
    """Return a heading on one line, with hash signs at its end escaped: Markdown would drop them."""
    line = one_line(text)
    body = line.rstrip("#")
    if body != line and (not body or body[-1] in " \t"):
        return f"{body}\\{line[len(body) :]}"
    return line


def _paragraph(text: str) -> str:
    lines = "\n".join(line.strip(" \t") for line in text.split("\n"))
    found = blocks(lines)
    if len(found) == 1 and found[0].type == "paragraph":
        return lines
    return one_line(text)  # without its indentation, a line would become a heading or a list


def _list(items: Sequence[Node]) -> str:
    inside = [child for item in items for child in item.children]
    loose = any(child.type == "paragraph" and not child.token.hidden for child in inside)
    number = int(items[0].token.info or 1) if items[0].token.markup in {".", ")"} else None
    written = []
    for offset, item in enumerate(items):
        marker = item.token.markup if number is None else f"{number + offset}{item.token.markup}"
        body = _joined(item.children, "\n\n" if loose else "\n")
        written.append(f"{marker} {indent(body, len(marker) + 1).lstrip(' ')}".rstrip())
    return ("\n\n" if loose else "\n").join(written)


def _joined(nodes: Sequence[Node], separator: str = "\n\n") -> str:
    return separator.join(to_markdown(node) for node in nodes)


def _table(node: Node) -> str:
    rows = [inner for inner in node.walk() if inner.type == "tr"]
    lines = [_row([cell.text.replace("|", "\\|") for cell in row.children]) for row in rows]
    rule = _row([_alignment(cell) for cell in rows[0].children])
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _alignment(cell: Node) -> str:
    style = str(cell.token.attrs.get("style", ""))
    return {"text-align:left": ":--", "text-align:right": "--:", "text-align:center": ":-:"}.get(style, "---")
