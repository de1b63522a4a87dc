"""Generate code from prisma/schema.prisma.

generated/rows.py contains Python types for the rows, for maintenance scripts, and doesn't require Node.js.
generated/client is the JavaScript client. The Prisma CLI generates it after `npm ci`.
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
HEADER = '''"""Types for database rows. Generated from prisma/schema.prisma by scripts/generate.py."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from typing import TypedDict
'''


def main() -> None:
    """Generate both and print what was generated."""
    blocks = BLOCK.findall((ROOT / "prisma" / "schema.prisma").read_text("utf-8"))
    source = python_types(blocks)
    compile(source, "rows.py", "exec")
    folder = ROOT / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "rows.py").write_text(source, "utf-8")
    kinds = [kind for kind, _, _ in blocks]
    log(f"generated/rows.py: {kinds.count('model')} models, {kinds.count('enum')} enums")
    generate_javascript_client()


def python_types(blocks: list[tuple[str, str, str]]) -> str:
    """Return the source code of a module with types for the models and enums of a schema."""
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
    """Return a column as a line of a TypedDict, or an empty string for a relation, which has no column."""
    match = FIELD.match(line)
    if match is None:
        sys.exit(f"prisma/schema.prisma: cannot read this line of model {model}: {line.strip()}")
    name, type_name, suffix = match.groups()
    if type_name in names["model"]:
        return ""
    python_type = type_name if type_name in names["enum"] else SCALARS.get(type_name)
    if python_type is None:
        sys.exit(f"prisma/schema.prisma: model {model}, field {name}: unknown type {type_name}.")
    annotation = {"[]": f"list[{python_type}]", "?": f"{python_type} | None"}.get(suffix, python_type)
    return f"    {name}: {annotation}\n"


def generate_javascript_client() -> None:
    """Generate the client with the Prisma CLI of this project, if Node.js and the CLI are installed."""
    cli = ROOT / "node_modules" / "prisma" / "build" / "index.js"
    node = shutil.which("node")
    if node is None or not cli.exists():
        reason = "Node.js is not installed" if node is None else "npm ci was not run"
        log(f"generated/client was not generated: {reason}. The build of the application generates it.")
        return
    status = subprocess.run([node, str(cli), "generate"], cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"The Prisma CLI failed with exit status {status}; generated/client is not up to date.")


def log(line: str) -> None:
    """Print a line and flush, so it appears immediately in a live log."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
