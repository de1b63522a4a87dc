"""Where in a JSON text a byte stands. No Django."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from signoff.verifier.pack_format import pointer

_decoder = json.JSONDecoder(strict=False)
_SPACES = " \t\n\r"


class NotJson(ValueError):
    """The text is no JSON.

    Attributes:
        offset: of the first byte that cannot be read, from 0.
        place: the pointer of the value that it stands in.
    """

    def __init__(self, sentence: str, offset: int, place: str) -> None:
        super().__init__(sentence)
        self.offset = offset
        self.place = place


def load(content: bytes) -> Any:
    """Read JSON strictly: UTF-8, no member twice, no NaN.

    Raises:
        NotJson: with the place.
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
        raise NotJson(f"The member {json.dumps(error.name)} stands twice in one object", 0, "") from None
    except ValueError as error:
        raise NotJson(f"This is not JSON ({error})", 0, "") from None


def pointer_at(content: bytes, offset: int) -> str:
    """The pointer of the value in which a byte of a JSON text stands, as far as it can be followed."""
    before = content[:offset].decode("utf-8", "ignore")
    return pointer_of(content.decode("utf-8", "replace"), len(before))


def pointer_of(text: str, position: int) -> str:
    """The pointer of the innermost value that a character of a JSON text belongs to.

    Args:
        text: JSON, perhaps broken from `position` on.
        position: counted in characters from 0.

    Returns:
        "" for the text as a whole.
    """
    place = ""
    for token in _walk(text):
        if token.start > position:
            break
        place = token.place
    return place


def out_of_order(content: bytes) -> tuple[int, str] | None:
    """The first member of an object that stands before one that sorts lower: its byte and its pointer.

    Args:
        content: JSON that `load` accepts.
    """
    text = content.decode("utf-8")
    last: dict[str, str] = {}
    for token in _walk(text):
        if token.kind == "{":
            last.pop(token.place, None)
        if token.name is not None:
            parent = token.place.rpartition("/")[0]
            # RFC 8785 (3.2.3) sorts names by their UTF-16 code units.
            if parent in last and token.name.encode("utf-16-be") < last[parent].encode("utf-16-be"):
                return len(text[: token.start].encode("utf-8")), token.place
            last[parent] = token.name
    return None


class _Token(NamedTuple):
    """A piece of a JSON text: where it begins, the value that it belongs to; the name, where it is one."""

    start: int
    kind: str
    place: str
    name: str | None = None


def _walk(text: str) -> Iterator[_Token]:
    """Every token of a JSON text, as far as it can be followed; what is broken is passed over."""
    # One entry per container that is open: the name of its present member, or the number of its element.
    steps: list[str | int | None] = []
    at, expects_name = 0, False
    while at < len(text):
        character, start, name = text[at], at, None
        if character in _SPACES + ":":
            at += 1
            continue
        if character in "{[":
            # Before the container itself is entered, so that its bracket belongs to it, not to its content.
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
    """The end of the string, number or word that begins here; a string's value."""
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
    raise ValueError(f"{word} is no number")
