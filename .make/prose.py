"""Check the English of docs, templates, docstrings, comments and messages against prose.toml, with proselint.

Everything that isn't prose is blanked out before a file is checked, which preserves the line numbers.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import proselint.checks
from proselint.config import Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckFlags
from proselint.registry.checks.engine import Fancy, RegexOptions
from proselint.registry.checks.types import ExistenceSimple
from proselint.tools import LintFile

# These mark the start of a passage: DOCSTRING that of a docstring, START that of any other.
START, DOCSTRING = "\ue000", "\ue001"
SENTENCE = rf"(?:[{START}{DOCSTRING}]\s*|[.:!?]\s+)"
IGNORED = {"migrations", "node_modules", "__pycache__"}

PROSE = re.compile(r"[A-Za-z’']+,?\s+[a-z’']+")
SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|DROP|GRANT|REVOKE|SET|COPY|FROM|WHERE|AND)\b"
)
DOCSTRING_CODE = re.compile(r"(`+).+?\1")
PLACEHOLDER = re.compile(r"\{[^{}]*\}|%\(\w+\)[sd]|%[sd]\b")
QUOTED = re.compile(r'"([^"]*)"')
ATTRIBUTE = re.compile(r'\b(?:alt|aria-label|content|data-confirm|placeholder|title)="([^"]*)"')
INLINE = re.compile(r"</?(?:a|abbr|b|em|i|small|span|strong|time)\b")
COMMENT_TAG = re.compile(r"\{%\s*(?:end)?comment\s*%\}")
TEMPLATE_CODE = re.compile(r"<(script|style|code|pre|svg)\b.*?</\1>|<!--.*?-->", re.DOTALL)
# The attributes of an HTML tag may hold template tags.
TEMPLATE_TAG = re.compile(
    r"\{\{.*?\}\}|\{#|#\}|\{%.*?%\}|</?[a-z](?:\{%.*?%\}|\{\{.*?\}\}|[^>])*>", re.DOTALL
)
MARKDOWN_CODE = re.compile(
    r"^ *(```+|~~~+).*?^ *\1|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`)|<!--.*?-->", re.DOTALL | re.MULTILINE
)
MARKDOWN_LINK = re.compile(r"(?<=\])\([^)\s]*\)|https?://\S+")
MARKDOWN_BLOCK = re.compile(r"^[ >]*(?:[-*+]|\d+\.|#+)(?= )|\||^(?=\n)", re.MULTILINE)


def blank(text: str, fill: str = " ") -> str:
    """Return `text` with everything except line ends replaced."""
    return re.sub(r"[^\n]", fill, text)


def code(match: re.Match[str]) -> str:
    """Return the replacement of code: a word that no rule matches."""
    return blank(match[0], "X")


def passage(text: str, mark: str = START) -> str:
    """Return `text` with its first character, which isn't prose, replaced by a passage mark."""
    return mark + text[1:]


def python(source: str, *, messages: bool = True) -> str:
    """Return the docstrings and comments of a module, and optionally its messages."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kept = list(blank(source))

    def keep(start: int, text: str) -> None:
        kept[start : start + len(text)] = text

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(?:noqa|type:)", token.string):
            own_line = not token.line[: token.start[1]].strip()
            above = own_line and token.start[0] > 1 and lines[token.start[0] - 2].strip().startswith("#")
            keep(starts[token.start[0] - 1] + token.start[1], passage(token.string, " " if above else START))
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    strings: list[ast.JoinedStr | ast.Constant] = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    inside = {id(part) for node in strings for part in ast.walk(node) if part is not node}
    strings += [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    for node in strings:
        if id(node) in inside:
            continue
        start = offset(node.lineno, node.col_offset)
        text = source[start : offset(node.end_lineno or node.lineno, node.end_col_offset or 0)]
        is_docstring = id(node) in docstrings
        # The quotes of a literal, and those between adjacent literals.
        text = re.sub(r'^\w*("""|"|\')|("""|"|\')$', lambda m: blank(m[0]), text)
        text = re.sub(r'["\'](?:\s|#.*)*\n\s*\w*["\']', lambda m: blank(m[0]), text)
        text = (DOCSTRING_CODE if is_docstring else PLACEHOLDER).sub(code, text)
        if is_docstring or (messages and PROSE.search(text) and not SQL.match(text)):
            keep(start, passage(text, DOCSTRING if is_docstring else START))
    return "".join(kept)


def template(source: str) -> str:
    """Return the text of a Django template, with its comments, attributes and arguments."""

    def tag(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("{{"):
            return code(match)
        if text in ("{#", "#}") or COMMENT_TAG.fullmatch(text):
            return passage(blank(text), START if text == "#}" or "end" in text else DOCSTRING)
        kept = list(blank(text))
        if not text.startswith("{%") and not INLINE.match(text):
            kept[0] = START
        for found in (QUOTED if text.startswith("{%") else ATTRIBUTE).finditer(text):
            words = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", code, found[1])
            if PROSE.search(words):
                kept[found.start(1) - 1 : found.end(1) + 1] = f"{START}{words}{START}"
        return "".join(kept)

    return TEMPLATE_TAG.sub(tag, TEMPLATE_CODE.sub(code, source))


def markdown(source: str) -> str:
    """Return the text of a Markdown page."""
    text = MARKDOWN_LINK.sub(lambda m: blank(m[0]), MARKDOWN_CODE.sub(code, source))
    return MARKDOWN_BLOCK.sub(lambda m: blank(m[0])[:-1] + START if m[0] else "", text)


READERS: dict[str, Callable[[str], str]] = {".py": python, ".html": template, ".md": markdown}


def own_checks(rules: list[dict[str, str]]) -> Iterator[Check]:
    """Yield the rules of prose.toml as proselint checks."""
    for rule in rules:
        pattern = rule["pattern"].replace("SENTENCE", SENTENCE).replace("PASSAGE", rf"{START}\s*")
        pattern = pattern.replace("DOCSTRING", rf"{DOCSTRING}\s*")
        yield Check(
            check_type=ExistenceSimple(pattern.replace(" ", r"\s+")),
            engine=Fancy(RegexOptions()),
            path=f"own.{rule['name']}",
            message=rule["message"],
            flags=CheckFlags(allow_quotes=True),
        )


def files(paths: list[str]) -> Iterator[Path]:
    """Yield the files in `paths`, including those in folders."""
    for path in map(Path, paths):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in READERS and not IGNORED.intersection(file.parts):
                yield file


def main(paths: list[str]) -> int:
    """Print the findings, one per line, and return 1 if there are any."""
    style = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    registry = CheckRegistry()
    registry.register_many(proselint.checks.__register__)
    registry.register_many(tuple(own_checks(style["rule"])))
    config = Config(max_errors=1000, checks={"own": True, **dict.fromkeys(style["proselint"], True)})
    found = False
    for file in files(paths):
        source = file.read_text(encoding="utf-8")
        in_tests = file.suffix == ".py" and "tests" in file.parts
        prose = python(source, messages=False) if in_tests else READERS[file.suffix](source)
        text = re.sub(" +", " ", prose)
        for result in LintFile(str(file), text or "\n").lint(config):
            check = result.check_result
            # proselint adds a line end before the text.
            match = text[check.span[0] - 1 : check.span[1] - 1]
            words = match.lstrip(f"{START}{DOCSTRING} .:!?\n")
            line = text.count("\n", 0, check.span[1] - 1 - len(words)) + 1
            words = re.sub("XX+", "…", " ".join(words.rstrip(f"{START}{DOCSTRING} .,\n").split()))
            rule = check.check_path.removeprefix("own.")
            sys.stdout.write(f"{file}:{line}: “{words[:60]}”: {check.message} [{rule}]\n")
            found = True
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
