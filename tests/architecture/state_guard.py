"""Find code that changes the `state` of a row outside the module of its model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

FIELD = "state"
# SQL that sets the column.
SQL = re.compile(r"\bUPDATE\b.+\bSET\b.+\bstate\b\s*=", re.DOTALL)


def changes(tree: ast.Module) -> list[tuple[int, str]]:
    """Return line and source of the expressions in a module that change the state of another module's model.

    A module owns the states of the models that it defines: its classes with a field `state`.
    """
    owned = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _has_field(node)}
    foreign = [
        node
        for node, enclosing in _walk(tree)
        if _changes_state(node, enclosing) and not _is_own(node, enclosing, owned)
    ]
    return [(node.lineno, ast.unparse(node)) for node in foreign]


def _walk(
    tree: ast.AST, enclosing: tuple[ast.AST, ...] = ()
) -> Iterator[tuple[ast.expr, tuple[ast.AST, ...]]]:
    """Yield every expression with its enclosing classes and functions, the innermost last."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            yield node, enclosing
        is_scope = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _walk(node, (*enclosing, node) if is_scope else enclosing)


def _changes_state(node: ast.expr, enclosing: tuple[ast.AST, ...]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == FIELD and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store) and _is(node.slice) and "__dict__" in ast.unparse(node.value)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and SQL.search(node.value) is not None
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    match called:
        case "update" | "aupdate":
            return any(_names_state(keyword, enclosing) for keyword in node.keywords)
        case "setattr" | "__setattr__":
            return any(_is(argument) for argument in node.args[:2])
        case "bulk_update" | "abulk_update" | "bulk_create" | "abulk_create" | "save" | "asave":
            return any(_holds(value) for value in [*node.args[1:], *(k.value for k in node.keywords)])
        case "update_or_create" | "aupdate_or_create":
            return any(_holds(k.value) for k in node.keywords if k.arg in {"defaults", None})
    return False


def _names_state(keyword: ast.keyword, enclosing: tuple[ast.AST, ...]) -> bool:
    """Return True if a keyword argument, or the dictionary that `**` spreads, names the field."""
    if keyword.arg is not None:
        return keyword.arg == FIELD
    if not isinstance(keyword.value, ast.Name):
        return _holds(keyword.value)
    # The values that the enclosing function puts into the dictionary, as a literal or key by key.
    return any(
        _holds(target) or (statement.value is not None and _holds(statement.value))
        for scope in enclosing[-1:]
        for statement in ast.walk(scope)
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in _targets(statement)
        if ast.unparse(target).partition("[")[0] == keyword.value.id
    )


def _targets(statement: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return statement.targets if isinstance(statement, ast.Assign) else [statement.target]


def _holds(value: ast.expr) -> bool:
    """Return True if a list, a dictionary or a call of `dict` names the field."""
    return any(_is(node) or (isinstance(node, ast.keyword) and node.arg == FIELD) for node in ast.walk(value))


def _is(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == FIELD


def _is_own(node: ast.expr, enclosing: tuple[ast.AST, ...], owned: set[str]) -> bool:
    """Return True if the changed object belongs to a model of the module or isn't a row."""
    if managers := re.findall(r"\b([A-Z]\w*)\.(?:objects|_default_manager)\b", ast.unparse(node)):
        return set(managers) <= owned
    if owned:
        return True
    # An object that isn't a model may have a state.
    classes = [scope for scope in enclosing if isinstance(scope, ast.ClassDef)]
    return ast.unparse(node) == f"self.{FIELD}" and bool(classes) and not classes[-1].bases


def _has_field(node: ast.ClassDef) -> bool:
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            names = [ast.unparse(target) for target in _targets(statement)]
            if FIELD in names and ast.unparse(statement.value.func).endswith("Field"):
                return True
    return False
