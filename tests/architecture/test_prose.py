"""`make prose` reports violations of `.make/prose.toml` and accepts plain English."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# Each file, with line, rule and part of the message of its findings.
BAD = {
    "module.py": (
        '''"""A module."""

def answer():
    """Whether the answer is known."""
    # It is read
    # anew each time.
    raise ValueError("“x” is no date. "
        f"{answer} takes the place of the date.")
''',
        [
            (4, "headless", "open with a verb or a noun"),
            (6, "banned-word", "use a plain word"),
            (7, "is-no", "negate the verb"),
            (8, "takes-the-place", "use “replace”"),
        ],
    ),
    "page.html": (
        """{% comment %}What a person may do.{% endcomment %}
<p>{{ name }} and others
  are told by e-mail.</p>
<button title="Take it away">{% include "x.html" with sentence="It stands in the log." %}</button>
""",
        [
            (1, "headless", "open with a verb or a noun"),
            (3, "tell", "use “notify”"),
            (4, "take-away", "use “remove”"),
            (4, "stands", "use “is”"),
        ],
    ),
    "page.md": (
        """# Backups

They run by itself.

- It holds all.
  Of a dump, only the manifest is kept.
- It is read twice, for nobody can know.
""",
        [
            (3, "by-itself", "use “automatically”"),
            (6, "front-of", "put the noun first"),
            (7, "for-because", "use “because”"),
        ],
    ),
}

GOOD = {
    "module.py": '''"""The answers."""

LOCKED = "SELECT 1 -- whoever"


def answer(name: str, tells: bool) -> str:
    """Return the answer to `whoever`, or raise `ValueError` if there is no answer.

    The answer is longer, and is no longer locked.
    """
    # Retry until the database is reachable.
    return f"The backup of {name} isn't complete. Start {tells} again."
''',
    "page.html": """{% comment %}The backups of a target. Context: backups.{% endcomment %}
<p class="is no class">Your item needs a signature. <code>mend anew</code></p>
<script>const whoever = "is no text";</script>
<button title="Remove second factor">Remove</button>
""",
    "page.md": """# What a backup holds

Run `deployctl mend` to repair it, or see [repairs](anew.md):

```
deployctl thereby anew
```
""",
}


def check(folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, ROOT / ".make" / "prose.py", folder],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bad")
    result = check(folder, {name: text for name, (text, _) in BAD.items()})
    assert result.returncode == 1, result.stderr
    return [line.removeprefix(f"{folder}/") for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "line", "rule", "message"),
    [(name, *finding) for name, (_, expected) in BAD.items() for finding in expected],
)
def test_a_bad_sentence_is_found(findings: list[str], name: str, line: int, rule: str, message: str) -> None:
    assert [
        found
        for found in findings
        if found.startswith(f"{name}:{line}: ") and message in found and found.endswith(f"[{rule}]")
    ]


def test_nothing_else_is_found(findings: list[str]) -> None:
    assert len(findings) == sum(len(expected) for _, expected in BAD.values())


def test_plain_english_and_code_pass(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD)
    assert (result.returncode, result.stdout) == (0, "")
