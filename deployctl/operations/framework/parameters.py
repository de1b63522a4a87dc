"""The parameters of an operation: declared once, used by forms, command line and templates."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployctl.errors import InvalidInput

METADATA_KEY = "deployctl.param"
TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", ""})


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation.

    `type` is str, int or bool; `choices` lists the allowed values, if it is not empty.
    """

    name: str
    type: type
    default: Any
    required: bool
    label: str
    help: str
    choices: tuple[str, ...]
    minimum: int | None
    maximum: int | None


def param(
    default: Any = dataclasses.MISSING,
    *,
    label: str,
    help: str,  # noqa: A002 - the standard word
    choices: Sequence[str] | Callable[[], Sequence[str]] = (),
    minimum: int | None = None,
    maximum: int | None = None,
) -> Any:
    """Declare a field of `Params`.

    Args:
        default: the value if none is given; without it the parameter is required.
        label: for the form.
        help: one sentence.
        choices: the allowed values, or a function that returns them.
        minimum, maximum: limits of a number, or of the length of a text.
    """
    metadata = {
        METADATA_KEY: {
            "label": label,
            "help": help,
            "choices": choices,
            "minimum": minimum,
            "maximum": maximum,
        }
    }
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def parameters_of(params: type) -> tuple[Parameter, ...]:
    """Return the parameters that a `Params` class declares, in order."""
    hints = typing.get_type_hints(params)
    return tuple(_parameter(field, hints[field.name]) for field in dataclasses.fields(params))


def parse(params: type, values: Mapping[str, object], *, subject: str) -> Any:
    """Return an instance of `params` made from texts or typed values.

    Args:
        params: the dataclass.
        values: by name; missing ones get their default.
        subject: the operation's kind, for the message.

    Raises:
        InvalidInput: a value is invalid; the message has the parameter and its allowed values.
    """
    declared = {parameter.name: parameter for parameter in parameters_of(params)}
    for name in values:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise InvalidInput(f"{subject} has no parameter {name}. Its parameters: {known}.")
    for parameter in declared.values():
        if parameter.required and parameter.name not in values:
            raise InvalidInput(f"{subject} requires the parameter {parameter.name} ({parameter.label}).")
    return params(**{name: _value(declared[name], value, subject) for name, value in values.items()})


def _parameter(field: dataclasses.Field[Any], hint: type) -> Parameter:
    metadata = field.metadata[METADATA_KEY]
    choices = metadata["choices"]
    return Parameter(
        name=field.name,
        type=hint,
        default=None if field.default is dataclasses.MISSING else field.default,
        required=field.default is dataclasses.MISSING,
        label=metadata["label"],
        help=metadata["help"],
        choices=tuple(choices() if callable(choices) else choices),
        minimum=metadata["minimum"],
        maximum=metadata["maximum"],
    )


def _value(parameter: Parameter, given: object, subject: str) -> str | int | bool:
    converters: dict[type, Callable[[object], str | int | bool | None]] = {bool: _bool, int: _int, str: _str}
    value = converters[parameter.type](given)
    name = f"{subject}: {parameter.name} ({parameter.label})"
    if value is None:
        expected = {bool: "yes or no", int: "a whole number", str: "a text"}[parameter.type]
        raise InvalidInput(f"{name} must be {expected}, not {given!r}.")
    if parameter.choices and value not in parameter.choices:
        raise InvalidInput(f"{name} must be one of {', '.join(parameter.choices)}, not {value!r}.")
    size = len(value) if isinstance(value, str) else value
    unit = " characters" if isinstance(value, str) else ""
    if parameter.minimum is not None and size < parameter.minimum:
        raise InvalidInput(f"{name} must be at least {parameter.minimum}{unit}.")
    if parameter.maximum is not None and size > parameter.maximum:
        raise InvalidInput(f"{name} must be at most {parameter.maximum}{unit}.")
    return value


def _bool(given: object) -> bool | None:
    if isinstance(given, bool):
        return given
    word = given.strip().lower() if isinstance(given, str) else ""
    if isinstance(given, str) and word in TRUE_WORDS | FALSE_WORDS:
        return word in TRUE_WORDS
    return None


def _int(given: object) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int | str):
        return None
    try:
        return int(given)
    except ValueError:
        return None


def _str(given: object) -> str | None:
    return given if isinstance(given, str) else None
