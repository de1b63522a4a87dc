"""Rules of the house that a reader can check with a ruler."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 600


def _tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [ROOT / line for line in listed if (ROOT / line).exists()]


PYTHON = [path for path in _tracked("*.py") if "migrations" not in path.parts]


def test_no_file_hides_a_second_noun() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PYTHON
        if "tests" not in path.relative_to(ROOT).parts
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > LIMIT
    }
    assert long == {}


@pytest.mark.parametrize("package", ["deployctl", "checklists", "signoff", "monitoring"])
def test_nothing_but_a_model_assigns_state(package: str) -> None:
    """State moves by verbs on the model (house rule 1)."""
    found = []
    for path in PYTHON:
        parts = path.relative_to(ROOT).parts
        if parts[0] != package or "models" in parts or "tests" in parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign):
                continue
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno}"
                for target in node.targets
                if isinstance(target, ast.Attribute)
                and target.attr == "state"
                and not (isinstance(target.value, ast.Name) and target.value.id == "self")
            ]
    assert found == []
