"""Size and structure of the source files: a file contains one noun, whole."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import pytest

from tests.architecture.source import Source, product

# The rule says "about 500", because a model with its methods must not be split for the sake of a number.
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_VIEW_LINES = 40
# A module this small belongs in its only importer.
SMALL_MODULE_LINES = 20
# Exempt: modules that are found by name, and folders with another rule.
BY_NAME = {
    "apps": "Django finds it",
    "tasks": "Celery finds it",
    "urls": "Django finds it",
}
BY_FOLDER = {"queries": "SQL against targets has one module per topic"}

PRODUCT = product()


def test_no_file_is_too_long() -> None:
    assert {
        str(source.path): source.line_count for source in PRODUCT if source.line_count > MAX_FILE_LINES
    } == {}


def test_no_function_is_too_long() -> None:
    long = {
        f"{source.path}:{node.name}": lines
        for source in PRODUCT
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := _lines_of_code(node)) > _max_lines(source)
    }
    assert long == {}


def test_no_class_is_split_by_inheritance() -> None:
    found = split_classes(PRODUCT)
    assert not found, "make each of these one class, in one file:\n" + "\n".join(found)


def test_no_small_module_has_only_one_importer() -> None:
    found = small_modules_with_one_importer(PRODUCT)
    assert not found, "merge each of these into the module that imports it:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "files",
    [
        {
            "a": "class RowBase(Model):\n    class Meta:\n        abstract = True",
            "b": "class Row(RowBase): ...",
        },
        {"a": "class _Verbs:\n    def end(self): ...", "b": "class Row(_Verbs, Model): ..."},
        {"a": "class Verbs(ABC): ...", "b": "class Row(Verbs): ..."},
        {"a": 'class Verbs:\n    def end(self):\n        return cast("Row", self).pk'},
        {"a": "class Verbs:\n    def end(self):\n        return typing.cast(Row, self).pk"},
    ],
)
def test_a_split_class_is_found(files: Mapping[str, str]) -> None:
    assert split_classes(_sources(files))


@pytest.mark.parametrize(
    "files",
    [
        {
            "a": "class Factor(Model):\n    class Meta:\n        abstract = True",
            "b": "class App(Factor): ...",
            "c": "class Key(Factor): ...",
        },
        {"a": "class PersonForm(Form): ...", "b": "class NewPersonForm(PersonForm): ..."},
        {"a": 'cast("User", request.user)'},
        {"a": "class _Section: ...\nclass Whole(_Section): ..."},
    ],
)
def test_a_shared_base_class_passes(files: Mapping[str, str]) -> None:
    assert not split_classes(_sources(files))


def test_a_small_module_with_one_importer_is_found() -> None:
    short, long = "def f(): ...\n", "x = 1\n" * (SMALL_MODULE_LINES + 1)

    assert small_modules_with_one_importer(_sources({"p.a": short, "p.b": "from p.a import f"}))
    assert small_modules_with_one_importer(_sources({"p.a": short, "p.b": "from p import a"}))
    assert not small_modules_with_one_importer(
        _sources({"p.a": short, "p.b": "from p import a", "p.c": "import p.a"})
    )
    assert not small_modules_with_one_importer(_sources({"p.a": short}))
    assert not small_modules_with_one_importer(_sources({"p.a": long, "p.b": "from p import a"}))
    assert not small_modules_with_one_importer(_sources({"p.tasks": short, "p.b": "from p import tasks"}))


def split_classes(sources: list[Source]) -> list[str]:
    """Return base classes in another module with only one subclass, and casts of `self`."""
    bases: dict[str, tuple[Source, ast.ClassDef]] = {}
    subclasses: dict[str, set[tuple[str, str]]] = defaultdict(set)
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ClassDef) or node.name == "Meta":
                continue
            if node.name.startswith("_") or _is_abstract(node):
                bases[node.name] = (source, node)
            for base in node.bases:
                subclasses[ast.unparse(base).rpartition(".")[2]].add((source.module, node.name))
        found += [f"{source.path}:{line}: cast of self" for line in _casts_of_self(source.tree)]
    for name, (source, node) in bases.items():
        elsewhere = [
            f"{module}.{subclass}" for module, subclass in subclasses[name] if module != source.module
        ]
        if len(subclasses[name]) == len(elsewhere) == 1:
            found.append(f"{source.path}:{node.lineno}: {name} is a base of only {elsewhere[0]}")
    return found


def small_modules_with_one_importer(sources: list[Source]) -> list[str]:
    """Return the small modules that exactly one other module imports."""
    modules = {source.module for source in sources}
    importers: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for imported in _imports(source.tree):
            known = imported if imported in modules else imported.rpartition(".")[0]
            importers[known].add(source.module)
    return [
        f"{source.path} ({source.line_count} lines) is imported only by {min(importers[source.module])}"
        for source in sources
        if source.line_count <= SMALL_MODULE_LINES
        and len(importers[source.module] - {source.module}) == 1
        and source.path.name != "__init__.py"
        and source.path.stem not in BY_NAME
        and source.path.parent.name not in BY_FOLDER
    ]


def _lines_of_code(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function without its decorators and docstring."""
    docstring = node.body[0] if ast.get_docstring(node) is not None else None
    described = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - described


def _max_lines(source: Source) -> int:
    is_view = source.path.stem == "views" or source.path.parent.name == "views"
    return MAX_VIEW_LINES if is_view else MAX_FUNCTION_LINES


def _is_abstract(node: ast.ClassDef) -> bool:
    statements = (ast.unparse(inner) for inner in ast.walk(node) if isinstance(inner, ast.Assign))
    return "abstract = True" in statements or any(ast.unparse(base).endswith("ABC") for base in node.bases)


def _casts_of_self(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"cast", "typing.cast"}:
            yield from (node.lineno for argument in node.args[1:] if ast.unparse(argument) == "self")


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _sources(files: Mapping[str, str]) -> list[Source]:
    return [Source(PurePosixPath(f"{module.replace('.', '/')}.py"), text) for module, text in files.items()]
