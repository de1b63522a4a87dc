"""Read and write annotations: `<!-- operation: migrate, role: dba -->` at the end of a heading or item."""

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
    """Separate a heading or an item from the comments at its end.

    Returns:
        The text on one line, and the values of the annotations.
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
        problems.add(
            line, "There is an annotation in the middle of the text; move it to the end of the line."
        )
    report_open_comment(inline, line, problems)
    return one_line(text), found


def report_open_comment(inline: Token, line: int, problems: Collector) -> None:
    """Report a comment without an end, which Markdown renderers treat differently."""
    if any(token.type == "text" and "<!--" in token.content for token in inline.children or ()):
        problems.add(line, "A comment begins with <!-- but isn't closed; end it with -->.")


def is_comment(content: str, kind: str = "html_inline") -> bool:
    """Return True if a piece of HTML is exactly one comment."""
    body = content.strip()
    return kind.startswith("html") and body.startswith("<!--") and body.endswith("-->") and len(body) >= 7


def is_annotation(comment: str) -> bool:
    """Return True if a comment has the form `word: …` or is a known key; other comments are ignored."""
    body = _body(comment)
    name = _leading_name(body)
    rest = body[len(name) :].lstrip()
    if rest.startswith(":"):
        return bool(name) and not rest.startswith("://")
    return name.lower() in KNOWN_KEYS and (not rest or rest.startswith(","))


def read(comment: str) -> dict[str, Value]:
    """Return the keys and values of one annotation. A key without a value is true.

    Raises:
        ValueError: the annotation is invalid; the message is for the template's author.
    """
    body, position, found = _body(comment), 0, {}
    while position < len(body):
        name = _leading_name(body[position:])
        if not name:
            raise ValueError("This annotation is invalid; write `key: value` pairs separated by commas.")
        position = _skip_spaces(body, position + len(name))
        value: Value = True
        if body.startswith(":", position):
            value, position = _read_value(body, _skip_spaces(body, position + 1), name)
        if name.lower() in found:
            raise ValueError(f"“{name}” is given twice; remove one.")
        found[name.lower()] = value
        position = _skip_spaces(body, position)
        if position < len(body) and body[position] != ",":
            raise ValueError(f"A comma is missing after “{name}”; separate the keys with commas.")
        position = _skip_spaces(body, position + 1)
    return found


def write(values: Mapping[str, Value]) -> str:
    """Return the annotation for `values` with a leading space, or an empty string if there are none."""
    if not values:
        return ""
    return " <!-- " + ", ".join(f"{key}: {_format_value(value)}" for key, value in values.items()) + " -->"


def unknown_key(key: str, known: Collection[str], owner: str) -> str:
    """Return the message for an unknown key, with the closest known key."""
    return f"“{key}” isn't an annotation for {owner}; {suggestion(key, known)}"


def suggestion(given: str, known: Collection[str]) -> str:
    """Return the end of a message: the closest known word, and all known words."""
    near = difflib.get_close_matches(given, known, n=1)
    listed = ", ".join(known) if known else "none"
    return f"did you mean “{near[0]}”? Known: {listed}." if near else f"known: {listed}."


def _merge(found: dict[str, Value], comment: str, line: int, problems: Collector) -> None:
    try:
        more = read(comment)
    except ValueError as error:
        problems.add(line, str(error))
        return
    for key in found.keys() & more.keys():
        problems.add(line, f"“{key}” is given twice; remove one.")
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
                f"The quoted value of “{name}” isn't closed or contains a stray backslash; "
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
    return _parse_bare(_printable(bare, name)), end


def _printable(value: str, name: str) -> str:
    if not value.isprintable():
        raise ValueError(f"The value of “{name}” contains an unprintable character; remove it.")
    return value


def _parse_bare(bare: str) -> Value:
    if bare in {"true", "false"}:
        return bare == "true"
    digits = bare.removeprefix("-")
    # 007 stays text: as a number it wouldn't be written back unchanged
    if digits.isascii() and digits.isdigit() and len(digits) <= 18 and str(int(bare)) == bare:
        return int(bare)
    return bare


def _format_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    safe = value and all(character.isalnum() or character in _BARE for character in value)
    if safe and "--" not in value and _parse_bare(value) == value and value == " ".join(value.split()):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    # the comment must not end early, and no code span may begin inside it
    for character in "<>`":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted
