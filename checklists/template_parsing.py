"""Parse templates with the operations and checks of this installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache

from checklists.markdown import ParsedTemplate, parse
from deployctl import operations


@cache
def known_operations() -> Mapping[str, tuple[str, ...]]:
    """Return the operations by kind, each with the names of its parameters."""
    return {
        kind: tuple(field.name for field in fields(operation.Params))
        if is_dataclass(operation.Params)
        else ()
        for kind, operation in operations.catalogue().items()
    }


def known_checks() -> Mapping[str, tuple[str, ...]]:
    """Return the checks by name, each with the names of its parameters. There are none yet."""
    return {}


@lru_cache(maxsize=32)
def parse_template(source: str, filename: str = "") -> ParsedTemplate:
    """Parse a template, with a cache: pages show the same few templates repeatedly.

    Raises:
        TemplateErrors: see `checklists.markdown.parse`.
    """
    return parse(source, filename=filename, operations=known_operations(), checks=known_checks())
