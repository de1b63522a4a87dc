"""Generate the list of operations in docs/operations.md from the classes.

`make docs` rewrites it; a test fails if it is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from deployctl.errors import DeployctlError
from deployctl.operations import catalogue
from deployctl.operations.framework.base import Operation
from deployctl.operations.framework.parameters import Parameter, parameters_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
BEGIN = "<!-- catalogue: written by make docs, not by hand -->"
END = "<!-- end of catalogue -->"


class NoMarkers(DeployctlError):
    """The page lacks the markers around the list of operations."""


def render() -> str:
    """Return the list as Markdown: a table of the operations, and a table of their parameters."""
    rows = "\n".join(_row(operation) for operation in catalogue().values())
    return f"""\
| operation | button | what it does | changes the target | alone on the target |
|---|---|---|---|---|
{rows}

Parameters, as options of `deployctl run` and as fields on the page of a target:

| operation | parameter | meaning | default |
|---|---|---|---|
{chr(10).join(_parameter_rows())}
"""


def in_page(page: str) -> str:
    """Return a page with the current list between its markers.

    Args:
        page: Markdown with the two markers.

    Raises:
        NoMarkers: a marker is missing.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise NoMarkers(f"The page has no markers for the list of operations. Add {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{render()}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the page, or only check it.

    Returns:
        The exit status: 1 if the page was only checked and is out of date.
    """
    parser = argparse.ArgumentParser(description="Write the list of operations into docs/operations.md.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with status 1 if the page is out of date"
    )
    options = parser.parse_args(arguments)
    page = PAGE.read_text(encoding="utf-8")
    current = in_page(page)
    if options.check and current != page:
        sys.stderr.write(f"{PAGE.name} is out of date. Run make docs.\n")
        return 1
    if current != page:
        PAGE.write_text(current, encoding="utf-8")
    return 0


def _row(operation: type[Operation]) -> str:
    return (
        f"| `{operation.kind}` | {_cell(operation.title)} | {_cell(operation.help)} "
        f"| {_yes_no(operation.changes_target)} | {_yes_no(operation.exclusive)} |"
    )


def _parameter_rows() -> Iterator[str]:
    for operation in catalogue().values():
        for parameter in parameters_of(operation.Params):
            flag = "--" + parameter.name.replace("_", "-")
            yield f"| `{operation.kind}` | `{flag}` | {_cell(_meaning(parameter))} | {_default(parameter)} |"


def _meaning(parameter: Parameter) -> str:
    return parameter.help + (f" One of: {', '.join(parameter.choices)}." if parameter.choices else "")


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.default, bool):
        return _yes_no(parameter.default)
    return _cell(str(parameter.default))


def _yes_no(answer: object) -> str:
    return "yes" if answer else "no"


def _cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


if __name__ == "__main__":
    sys.exit(main())
