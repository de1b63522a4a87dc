"""What commands print: plain tables for people, JSON for scripts."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """Give a command ``--json``, passed to it as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def print_json(value: Any) -> None:
    """Print a value as indented JSON; times in ISO 8601, decimals and ids as text."""
    # Not at the top: `deployctl verify` shares this module and works without Django.
    from django.core.serializers.json import DjangoJSONEncoder

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))


def print_rows(
    rows: Iterable[Mapping[str, Any]], *, columns: Mapping[str, str], as_json: bool, empty: str
) -> None:
    """Print records as a table, or as a JSON list with all their fields.

    Args:
        rows: the records.
        columns: the fields to show in the table, with their headings.
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
    # As a row of its own, since tabulate gives headers extra space.
    _print_aligned([[heading.upper() for heading in headings], *rows])


def print_facts(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record, a field a line, or as a JSON object."""
    if as_json:
        print_json(facts)
        return
    _print_aligned([[name, _text(value)] for name, value in facts.items()])


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A name may hold anything; a line break or an escape sequence in it must not reach the terminal.
    return "".join(one if unicodedata.category(one) != "Cc" else " " for one in str(value))


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    # Not at the top: it takes a tenth of a second, which commands without a table need not wait.
    from tabulate import tabulate

    click.echo(tabulate(rows, tablefmt="plain", disable_numparse=True))
