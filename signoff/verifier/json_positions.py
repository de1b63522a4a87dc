"""Parse JSON strictly, and convert offsets in a JSON text to JSON pointers (RFC 6901)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from signoff.verifier.pack_format import pointer

_decoder = json.JSONDecoder(strict=False)
_WHITESPACE = " \t\n\r"


class NotJson(ValueError):
    """The text is not valid JSON.

    Attributes:
        offset: the offset of the first invalid byte.
        location: the JSON pointer of the value that contains it.
    """

    def __init__(self, sentence: str, offset: int, location: str) -> None:
        super().__init__(sentence)
        self.offset = offset
        self.location = location


def load(content: bytes) -> Any:
    """Parse JSON strictly: only UTF-8, no duplicate members, no NaN.

    Raises:
        NotJson: the text is not valid JSON.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        readable = content[: error.start].decode("utf-8")
        raise NotJson("This byte is not UTF-8", error.start, pointer_of(readable, len(readable))) from None
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        offset = len(text[: error.pos].encode("utf-8"))
        raise NotJson("This is not JSON", offset, pointer_of(text, error.pos)) from None
    except RecursionError:
        raise NotJson("This is nested too deeply", 0, "") from None
    except _DuplicateMember as error:
        raise NotJson(f"The member {json.dumps(error.name)} is duplicated in an object", 0, "") from None
    except ValueError as error:
        raise NotJson(f"This is not JSON ({error})", 0, "") from None


def pointer_at(content: bytes, offset: int) -> str:
    """Return the JSON pointer of the value that contains a byte, as far as the text can be parsed."""
    before = content[:offset].decode("utf-8", "ignore")
    return pointer_of(content.decode("utf-8", "replace"), len(before))


def pointer_of(text: str, position: int) -> str:
    """Return the JSON pointer of the innermost value that contains a character.

    Args:
        text: JSON; it may be invalid after `position`.
        position: the offset in characters.

    Returns:
        The pointer; empty for the text as a whole.
    """
    location = ""
    for token in _walk(text):
        if token.start > position:
            break
        location = token.location
    return location


class Misplaced(NamedTuple):
    """A member that sorts before the previous one: its byte offset, and the JSON pointers of the two."""

    offset: int
    location: str
    previous: str


def out_of_order(content: bytes) -> Misplaced | None:
    """Return the first member that is out of order; None if there is none.

    Args:
        content: JSON that `load` accepts.
    """
    text = content.decode("utf-8")
    last: dict[str, tuple[bytes, str]] = {}
    for token in _walk(text):
        if token.kind == "{":
            last.pop(token.location, None)
        if token.name is not None:
            parent = token.location.rpartition("/")[0]
            name = token.name.encode("utf-16-be")  # RFC 8785 (3.2.3) sorts by UTF-16 code units
            if parent in last and name < last[parent][0]:
                return Misplaced(len(text[: token.start].encode("utf-8")), token.location, last[parent][1])
            last[parent] = name, token.location
    return None


class _Token(NamedTuple):
    """A token of a JSON text: offset, first character, the pointer of its value, and a member's name."""

    start: int
    kind: str
    location: str
    name: str | None = None


def _walk(text: str) -> Iterator[_Token]:
    """Yield the tokens of a JSON text; invalid parts are skipped."""
    # One entry per open container: the name of the current member, or the index of the current element.
    steps: list[str | int | None] = []
    at, expects_name = 0, False
    while at < len(text):
        character, start, name = text[at], at, None
        if character in _WHITESPACE + ":":
            at += 1
            continue
        if character in "{[":
            # The bracket belongs to the container, not to its content.
            yield _Token(start, character, _pointer(steps))
            steps.append(None if character == "{" else 0)
            expects_name, at = character == "{", at + 1
            continue
        if character in "}]":
            del steps[-1:]
            at += 1
        elif character == ",":
            if steps and isinstance(steps[-1], int):
                steps[-1] += 1
            else:
                expects_name = bool(steps)
            at += 1
        else:
            at, value = _skip(text, at)
            if expects_name and value is not None:
                steps[-1], name, expects_name = value, value, False
        yield _Token(start, character, _pointer(steps), name)


def _pointer(steps: list[str | int | None]) -> str:
    return "".join(f"/{pointer(str(step))}" for step in steps if step is not None)


def _skip(text: str, at: int) -> tuple[int, str | None]:
    """Return the end of the string, number or literal that starts here, and the value of a string."""
    if text[at] == '"':
        try:
            value, end = _decoder.raw_decode(text, at)
        except ValueError:
            return len(text), None
        return end, value
    end = at + 1
    while end < len(text) and text[end] not in ',]}: \t\n\r"[{':
        end += 1
    return end, None


class _DuplicateMember(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _DuplicateMember(name)
            seen.add(name)
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number in JSON")
