"""Generate what programs need to speak of this database, from prisma/schema.prisma.

Always: generated/rows.py, the rows as Python types, for the maintenance scripts. Needs no Node.
Where `npm ci` was done: generated/client, the JavaScript client, by the Prisma CLI.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCALARS = {
    "String": "str",
    "Boolean": "bool",
    "Int": "int",
    "BigInt": "int",
    "Float": "float",
    "Decimal": "decimal.Decimal",
    "DateTime": "dt.datetime",
    "Json": "object",
    "Bytes": "bytes",
}
BLOCK = re.compile(r"^(model|enum)\s+(\w+)\s*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s+(\w+)\s+(\w+)(\[\]|\?)?(?:\s|$)")
HEADER = '''"""The rows of the database. Written by scripts/generate.py; edit prisma/schema.prisma instead."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from typing import TypedDict
'''


def main() -> None:
    """Write both, and say what was written and what was left out."""
    blocks = BLOCK.findall((ROOT / "prisma" / "schema.prisma").read_text("utf-8"))
    source = python_types(blocks)
    compile(source, "rows.py", "exec")
    folder = ROOT / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "rows.py").write_text(source, "utf-8")
    models, enums = (sum(kind == wanted for kind, _, _ in blocks) for wanted in ("model", "enum"))
    say(f"generated/rows.py: {models} models, {enums} enums")
    javascript_client()


def python_types(blocks: list[tuple[str, str, str]]) -> str:
    """The Python module for the models and enums of a schema."""
    names = {kind: {name for k, name, _ in blocks if k == kind} for kind in ("model", "enum")}
    parts = [HEADER]
    for kind, name, body in sorted(blocks):
        lines = [
            line for line in body.splitlines() if not line.strip().startswith(("//", "@@")) and line.strip()
        ]
        if kind == "enum":
            members = [line.split()[0] for line in lines]
            parts.append(f"class {name}(enum.StrEnum):\n" + "".join(f'    {m} = "{m}"\n' for m in members))
        else:
            columns = "".join(row_field(name, line, names) for line in lines)
            parts.append(f"class {name}(TypedDict):\n{columns}")
    return "\n\n".join(parts)


def row_field(model: str, line: str, names: dict[str, set[str]]) -> str:
    """One column as a line of a TypedDict; a relation has no column and gives nothing."""
    match = FIELD.match(line)
    if match is None:
        sys.exit(f"prisma/schema.prisma: cannot read this line of model {model}: {line.strip()}")
    name, type_name, suffix = match.groups()
    if type_name in names["model"]:
        return ""
    python = type_name if type_name in names["enum"] else SCALARS.get(type_name)
    if python is None:
        sys.exit(f"prisma/schema.prisma: model {model}, field {name}: unknown type {type_name}.")
    wrapped = {"[]": f"list[{python}]", "?": f"{python} | None"}.get(suffix, python)
    return f"    {name}: {wrapped}\n"


def javascript_client() -> None:
    """Let the Prisma CLI of this project generate its client, where both it and Node are installed."""
    cli = ROOT / "node_modules" / "prisma" / "build" / "index.js"
    node = shutil.which("node")
    if node is None or not cli.exists():
        missing = "Node.js is not installed" if node is None else "npm ci was not run"
        say(f"generated/client was not generated: {missing} here. The application's own build does it.")
        return
    status = subprocess.run([node, str(cli), "generate"], cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"The Prisma CLI failed with exit status {status}; generated/client is not up to date.")


def say(line: str) -> None:
    """A line of output, at once, so that whoever watches sees it live."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
