"""The registry of operations, and parsing their parameters."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from deployctl.errors import InvalidInput
from deployctl.operations import catalogue
from deployctl.operations.framework import registry
from deployctl.operations.framework.base import Operation, param
from deployctl.operations.framework.parameters import parameters_of, parse


def test_every_operation_is_found_under_its_kind() -> None:
    assert {"backup", "connect", "createdb"} <= set(catalogue())
    assert all(found.kind == kind for kind, found in catalogue().items())


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.kind)
def test_every_operation_has_complete_metadata(operation: type[Operation]) -> None:
    assert operation.title
    assert operation.help.endswith(".")
    assert operation.time_limit_s > 0
    assert isinstance(operation.changes_target, bool)
    assert isinstance(operation.exclusive, bool)
    assert operation.exclusive or not operation.changes_target
    for parameter in parameters_of(operation.Params):
        assert parameter.type in {str, int, bool}
        assert parameter.label
        assert parameter.help


def test_an_unknown_kind_is_reported_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no operation 'dance'.*backup, .*connect"):
        registry.operation("dance")


@dataclass(frozen=True)
class Params:
    name: str = param(label="Name", help="Required.", minimum=2, maximum=5)
    jobs: int = param(2, label="Jobs", help="How many.", minimum=1, maximum=8)
    deep: bool = param(False, label="Deep", help="Whether.")
    mode: str = param("fast", label="Mode", help="Which.", choices=lambda: ("fast", "slow"))


def test_form_values_are_converted() -> None:
    assert parse(Params, {"name": "abc", "jobs": "4", "deep": "yes", "mode": "slow"}, subject="x") == Params(
        "abc", 4, True, "slow"
    )
    assert parse(Params, {"name": "abc"}, subject="x") == Params("abc")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"x requires the parameter name \(Name\)"),
        ({"name": "abc", "other": 1}, "no parameter other. Its parameters: name, jobs, deep, mode"),
        ({"name": "a"}, "at least 2 characters"),
        ({"name": "abcdef"}, "at most 5 characters"),
        ({"name": 7}, "must be a text"),
        ({"name": "abc", "jobs": "0"}, "at least 1"),
        ({"name": "abc", "jobs": "9"}, "at most 8"),
        ({"name": "abc", "jobs": "two"}, "a whole number, not 'two'"),
        ({"name": "abc", "jobs": True}, "a whole number"),
        ({"name": "abc", "deep": "maybe"}, "yes or no"),
        ({"name": "abc", "mode": "odd"}, "one of fast, slow"),
    ],
)
def test_an_invalid_value_is_reported(values: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse(Params, values, subject="x")


def test_declared_parameters_can_be_listed() -> None:
    name, jobs, _, mode = parameters_of(Params)

    assert name.required
    assert (jobs.required, jobs.default, jobs.minimum, jobs.maximum) == (False, 2, 1, 8)
    assert mode.choices == ("fast", "slow")
