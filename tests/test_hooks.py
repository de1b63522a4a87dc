"""Test hooks, with which lower packages notify and query higher ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from deployctl.hooks import Hook


def test_handlers_are_notified_in_order() -> None:
    renamed: Hook[[str, int], None] = Hook("renamed", on_error="raise")
    calls: list[tuple[str, int]] = []

    @renamed.connect
    def first(name: str, number: int) -> None:
        calls.append((name, number))

    @renamed.connect
    def second(name: str, number: int) -> None:
        calls.append((name.upper(), number))

    renamed.send("shop", 3)

    assert calls == [("shop", 3), ("SHOP", 3)]


def test_collect_returns_the_answers_of_all_handlers() -> None:
    sizes: Hook[[str], int] = Hook("sizes", on_error="raise")
    assert sizes.collect("shop") == []

    sizes.connect(len)
    with sizes.connected(lambda _name: 7):
        assert sizes.collect("shop") == [4, 7]
    assert sizes.collect("shop") == [4]


def test_a_handler_connected_twice_runs_once() -> None:
    sizes: Hook[[str], int] = Hook("sizes", on_error="raise")
    assert sizes.connect(len) is len
    sizes.connect(len)
    assert sizes.collect("shop") == [4]

    sizes.disconnect(len)
    assert sizes.collect("shop") == []
    with pytest.raises(ValueError, match="not in list"):
        sizes.disconnect(len)


def test_a_handler_is_disconnected_when_the_block_fails() -> None:
    sizes: Hook[[str], int] = Hook("sizes", on_error="raise")
    with pytest.raises(ZeroDivisionError), sizes.connected(len):
        raise ZeroDivisionError
    assert sizes.collect("shop") == []


def _fail(_name: str) -> int:
    raise ZeroDivisionError


def test_on_error_raise_passes_the_exception_on() -> None:
    sizes: Hook[[str], int] = Hook("sizes", on_error="raise")
    sizes.connect(_fail)
    with pytest.raises(ZeroDivisionError):
        sizes.send("shop")


def test_on_error_log_names_the_handler_and_continues(caplog: pytest.LogCaptureFixture) -> None:
    sizes: Hook[[str], int] = Hook("sizes", on_error="log")
    sizes.connect(_fail)
    sizes.connect(partial(_fail))
    sizes.connect(len)

    assert sizes.collect("shop") == [4]

    first, second = caplog.records
    assert first.getMessage() == "Handler tests.test_hooks._fail of sizes failed"
    assert first.exc_info
    assert "functools.partial" in second.getMessage()


def test_every_handler_runs_in_its_own_context() -> None:
    contexts: list[str] = []

    @contextmanager
    def savepoint() -> Iterator[None]:
        try:
            yield
        except ZeroDivisionError:
            contexts.append("rolled back")
            raise
        contexts.append("kept")

    sizes: Hook[[str], int] = Hook("sizes", on_error="log", isolate=savepoint)
    sizes.connect(_fail)
    sizes.connect(len)
    sizes.send("shop")

    assert contexts == ["rolled back", "kept"]
