"""Output of commands: plain tables for people, JSON for scripts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Add the option ``--json`` to a command, which gets it as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def print_json(value: Any) -> None:
    """Print a value as indented JSON, with times in ISO 8601, and decimals and UUIDs as text."""
    # Imported here because `deployctl verify` uses this module and must work without Django.
    from django.core.serializers.json import DjangoJSONEncoder

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))


def print_rows(
    rows: Iterable[Mapping[str, Any]], *, columns: Mapping[str, str], as_json: bool, empty: str
) -> None:
    """Print records as a table, or as a JSON list with all their fields.

    Args:
        rows: the records.
        columns: the heading of each field to show in the table.
        as_json: print JSON instead.
        empty: the sentence to print instead of an empty table.
    """
    records = [dict(row) for row in rows]
    if as_json:
        print_json(records)
    elif records:
        print_table(
            list(columns.values()), [[_text(record.get(field)) for field in columns] for record in records]
        )
    else:
        click.echo(empty)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, separated by spaces."""
    # Passed as a normal row, because tabulate pads headers with extra space.
    _print_aligned([[heading.upper() for heading in headings], *rows])


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record with one field per line, or as a JSON object."""
    if as_json:
        print_json(facts)
        return
    _print_aligned([[name, _text(value)] for name, value in facts.items()])


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # Control characters, such as an escape sequence in a name, must not reach the terminal.
    return "".join(char if unicodedata.category(char) != "Cc" else " " for char in str(value))


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    # Imported here because it takes a tenth of a second, which commands without a table don't need.
    from tabulate import tabulate

    click.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))
