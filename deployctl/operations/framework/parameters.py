"""The parameters of an operation: declared once, read by form, command line and template."""

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
    """One parameter as shown to people.

    `type` is str, int or bool; `choices` are the only values allowed where it is not empty.
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
    help: str,  # noqa: A002 - the word everybody looks for
    choices: Sequence[str] | Callable[[], Sequence[str]] = (),
    minimum: int | None = None,
    maximum: int | None = None,
) -> Any:
    """Declare a field of `Params`.

    Args:
        default: used where nothing is given; without it the parameter is required.
        label: for the form.
        help: one sentence.
        choices: the values allowed, or a function that gives them.
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
    """What a `Params` class declares, in order."""
    hints = typing.get_type_hints(params)
    return tuple(_parameter(field, hints[field.name]) for field in dataclasses.fields(params))


def parse(params: type, values: Mapping[str, object], *, subject: str) -> Any:
    """Make an instance from texts or values.

    Args:
        params: the dataclass.
        values: by name; absent ones take their default.
        subject: what the parameters belong to, for the message.

    Raises:
        InvalidInput: naming the parameter and what it takes.
    """
    declared = {parameter.name: parameter for parameter in parameters_of(params)}
    for name in values:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise InvalidInput(f"{subject} has no parameter {name}. It knows: {known}.")
    for parameter in declared.values():
        if parameter.required and parameter.name not in values:
            raise InvalidInput(f"{subject} needs the parameter {parameter.name} ({parameter.label}).")
    return params(**{name: _value(declared[name], value, subject) for name, value in values.items()})


def _parameter(field: dataclasses.Field[Any], hint: type) -> Parameter:
    told = field.metadata[METADATA_KEY]
    choices = told["choices"]
    return Parameter(
        name=field.name,
        type=hint,
        default=None if field.default is dataclasses.MISSING else field.default,
        required=field.default is dataclasses.MISSING,
        label=told["label"],
        help=told["help"],
        choices=tuple(choices() if callable(choices) else choices),
        minimum=told["minimum"],
        maximum=told["maximum"],
    )


def _value(parameter: Parameter, given: object, subject: str) -> str | int | bool:
    converters: dict[type, Callable[[object], str | int | bool | None]] = {bool: _bool, int: _int, str: _str}
    value = converters[parameter.type](given)
    place = f"{subject}: {parameter.name} ({parameter.label})"
    if value is None:
        word = {bool: "yes or no", int: "a whole number", str: "a text"}[parameter.type]
        raise InvalidInput(f"{place} must be {word}, not {given!r}.")
    if parameter.choices and value not in parameter.choices:
        raise InvalidInput(f"{place} must be one of {', '.join(parameter.choices)}, not {value!r}.")
    size = len(value) if isinstance(value, str) else value
    what = " characters" if isinstance(value, str) else ""
    if parameter.minimum is not None and size < parameter.minimum:
        raise InvalidInput(f"{place} must be at least {parameter.minimum}{what}.")
    if parameter.maximum is not None and size > parameter.maximum:
        raise InvalidInput(f"{place} must be at most {parameter.maximum}{what}.")
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
