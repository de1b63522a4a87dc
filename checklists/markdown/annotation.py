"""The annotation comments: `<!-- operation: migrate, role: dba -->` at the end of a heading or an item."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping

from markdown_it.token import Token

from checklists.markdown.document import one_line
from checklists.markdown.errors import Collector

Value = str | int | bool

HEADING_KEYS = ("stage", "due", "role", "routine", "gate", "creator", "requires", "within")
ITEM_KEYS = ("operation", "check", "role", "due", "stage", "evidence", "sign", "quorum")
KNOWN_KEYS = (*dict.fromkeys((*HEADING_KEYS, *ITEM_KEYS)),)

_BARE = frozenset(" ._/+:@%-")


def split(inline: Token, line: int, problems: Collector) -> tuple[str, dict[str, Value]]:
    """Take the comments off the end of a heading or an item.

    Returns:
        the text on one line without them, and what the annotations among them say.
    """
    text = inline.content.rstrip()
    comments = [token.content for token in inline.children or () if is_comment(token.content, token.type)]
    found: dict[str, Value] = {}
    at_the_end = []
    while comments and text.endswith(comments[-1]):
        at_the_end.append(comments.pop())
        text = text.removesuffix(at_the_end[-1]).rstrip()
    for comment in reversed(at_the_end):
        if is_annotation(comment):
            _merge(found, comment, line, problems)
    if any(is_annotation(comment) for comment in comments):
        problems.add(line, "An annotation stands in the middle of the text; put it at the end of the line.")
    complain_about_open_comment(inline, line, problems)
    return one_line(text), found


def complain_about_open_comment(inline: Token, line: int, problems: Collector) -> None:
    """A comment that never ends hides or shows the wrong text, depending on who renders it."""
    if any(token.type == "text" and "<!--" in token.content for token in inline.children or ()):
        problems.add(line, "A comment is opened with <!-- and not closed; end it with -->.")


def is_comment(content: str, kind: str = "html_inline") -> bool:
    """Whether a piece of HTML is one whole comment."""
    body = content.strip()
    return kind.startswith("html") and body.startswith("<!--") and body.endswith("-->") and len(body) >= 7


def is_annotation(comment: str) -> bool:
    """Whether a comment speaks to us: `word: …`, or a known word alone. Others may say what they like."""
    body = _body(comment)
    name = _leading_name(body)
    rest = body[len(name) :].lstrip()
    if rest.startswith(":"):
        return bool(name) and not rest.startswith("://")
    return name.lower() in KNOWN_KEYS and (not rest or rest.startswith(","))


def read(comment: str) -> dict[str, Value]:
    """The keys and values of one annotation. A key without a value is true.

    Raises:
        ValueError: with a sentence for the author.
    """
    body, position, found = _body(comment), 0, {}
    while position < len(body):
        name = _leading_name(body[position:])
        if not name:
            raise ValueError("An annotation is a list of `key: value`, separated by commas.")
        position = _skip_spaces(body, position + len(name))
        value: Value = True
        if body.startswith(":", position):
            value, position = _read_value(body, _skip_spaces(body, position + 1), name)
        if name.lower() in found:
            raise ValueError(f"“{name}” is given twice; keep one of them.")
        found[name.lower()] = value
        position = _skip_spaces(body, position)
        if position < len(body) and body[position] != ",":
            raise ValueError(f"A comma is missing after “{name}”; separate the keys by commas.")
        position = _skip_spaces(body, position + 1)
    return found


def write(values: Mapping[str, Value]) -> str:
    """The annotation comment for `values`, with the space before it; nothing where there are none."""
    if not values:
        return ""
    return " <!-- " + ", ".join(f"{key}: {_written(value)}" for key, value in values.items()) + " -->"


def unknown_key(key: str, known: Collection[str], owner: str) -> str:
    """The sentence about a key that nobody knows, with the nearest one that exists."""
    return f"“{key}” is not an annotation of {owner}; {suggestion(key, known)}"


def suggestion(given: str, known: Collection[str]) -> str:
    """The part of a sentence that helps to find the right word."""
    near = difflib.get_close_matches(given, known, n=1)
    listed = ", ".join(known) if known else "none here"
    return f"did you mean “{near[0]}”? Known: {listed}." if near else f"known: {listed}."


def _merge(found: dict[str, Value], comment: str, line: int, problems: Collector) -> None:
    try:
        more = read(comment)
    except ValueError as error:
        problems.add(line, str(error))
        return
    for key in found.keys() & more.keys():
        problems.add(line, f"“{key}” is given twice; keep one of them.")
    found.update(more)


def _body(comment: str) -> str:
    return comment.strip().removeprefix("<!--").removesuffix("-->").strip()


def _leading_name(text: str) -> str:
    end = 0
    while end < len(text) and (text[end].isalnum() or text[end] in "_-"):
        end += 1
    return text[:end]


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_value(body: str, position: int, name: str) -> tuple[Value, int]:
    if body.startswith('"', position):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(body, position)
        except ValueError:
            raise ValueError(
                f"The quoted value of “{name}” does not end, or has a stray backslash; "
                'write it as "…", with \\" for a quotation mark.'
            ) from None
        return _printable(" ".join(str(value).split()), name), end
    end = body.find(",", position)
    end = len(body) if end < 0 else end
    bare = " ".join(body[position:end].split())
    if not bare:
        raise ValueError(f"“{name}” has no value; write `{name}: value`.")
    if bare[0] in "'“‘":
        raise ValueError(f'The value of “{name}” is quoted with {bare[0]}; use straight double quotes ("…").')
    return _typed(_printable(bare, name)), end


def _printable(value: str, name: str) -> str:
    if not value.isprintable():
        raise ValueError(f"The value of “{name}” holds a character that cannot be printed; remove it.")
    return value


def _typed(bare: str) -> Value:
    if bare in {"true", "false"}:
        return bare == "true"
    digits = bare.removeprefix("-")
    # 007 stays text: as a number it would be written differently
    if digits.isascii() and digits.isdigit() and len(digits) <= 18 and str(int(bare)) == bare:
        return int(bare)
    return bare


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    safe = value and all(character.isalnum() or character in _BARE for character in value)
    if safe and "--" not in value and _typed(value) == value and value == " ".join(value.split()):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    # the comment must not end early, and no code span may begin inside it
    for character in "<>`":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted
