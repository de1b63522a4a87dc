"""The place in a JSON text that a byte belongs to."""

from __future__ import annotations

import pytest

from signoff.verifier.json_positions import NotJson, load, out_of_order, pointer_at, pointer_of

TEXT = '{"a": [10, {"b/c": "x,]"}, true], "d~": {}, "e": -1}'
# Where each place begins; it goes on to the next.
BEGINNINGS = {
    0: "",
    1: "/a",
    7: "/a/0",
    9: "/a/1",
    12: "/a/1/b~1c",
    24: "/a/1",
    25: "/a/2",
    31: "/a",
    34: "/d~0",
    44: "/e",
    51: "",
}


def test_every_character_belongs_to_the_innermost_value() -> None:
    place = ""
    for position in range(len(TEXT)):
        place = BEGINNINGS.get(position, place)
        assert pointer_of(TEXT, position) == place, TEXT[position:]


def test_bytes_are_counted_not_characters() -> None:
    content = '["éé", 5]'.encode()
    assert pointer_at(content, 5) == "/0"
    assert pointer_at(content, 9) == "/1"


def test_broken_text_is_followed_as_far_as_possible() -> None:
    assert pointer_of('{"a\nb": 1}', 8) == "/a\nb"
    assert pointer_of('{5 "a": 1}', 8) == "/a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1,"b":2}', None),
        ('{"b":1,"a":2}', (7, "/a")),
        ('{"é":1,"a":2}', (8, "/a")),
        # Each object has an order of its own.
        ('{"a":{"z":1},"b":{"a":1}}', None),
        ('{"a":[{"b":1,"c":2},{"a":1}],"b":1}', None),
        ('{"a":{"c":1,"b":2},"b":1}', (12, "/a/b")),
        # By UTF-16 code units, not by code points.
        ('{"\U00010000":1,"\uffff":2}', None),
        ('{"\uffff":1,"\U00010000":2}', (9, "/\U00010000")),
    ],
)
def test_the_first_member_out_of_order_is_found(text: str, expected: tuple[int, str] | None) -> None:
    found = out_of_order(text.encode())
    assert (found and found[:2]) == expected


@pytest.mark.parametrize(
    ("content", "offset", "location"),
    [
        (b'{"a":[1,\xff]}', 8, "/a/1"),
        ('["é", }'.encode(), 7, ""),
        (b"[1", 2, "/0"),
        (b'"abc', 0, ""),
        ('{"k":"é", "b":"é" 5}'.encode(), 20, "/b"),
        (b'{"a":1,"a":2}', 0, ""),
        (b"[NaN]", 0, ""),
        (b"[" * 100_000, 0, ""),
    ],
)
def test_invalid_json_is_located(content: bytes, offset: int, location: str) -> None:
    with pytest.raises(NotJson) as caught:
        load(content)
    assert (caught.value.offset, caught.value.location) == (offset, location)
