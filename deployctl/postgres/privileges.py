"""Which right PostgreSQL misses when it refuses, and the statement that gives it.

The server names only the object, in its message; which right is missing follows from what was to be done
with it. A server that answers in another language than English is not understood here; its words are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from psycopg import sql

# A name ends with the line, or where our sentences go on: with the code, or with a full stop and a space.
NAME = r"(?P<name>[^\n]+?)(?= \(42501\)|\.? ?$|\.? ?\n|\. )"
MAX_REPORTED = 5
RELATIONS = frozenset({"table", "view", "materialized view", "foreign table", "sequence", "relation"})

# Kind of object → what is needed to read it, and to change it or what it holds.
PRIVILEGES = {
    "table": ("SELECT", "ALL"),
    "view": ("SELECT", "ALL"),
    "materialized view": ("SELECT", "ALL"),
    "foreign table": ("SELECT", "ALL"),
    "relation": ("SELECT", "ALL"),
    "sequence": ("SELECT", "ALL"),
    "schema": ("USAGE", "USAGE, CREATE"),
    "database": ("CONNECT", "CONNECT, CREATE, TEMPORARY"),
    "large object": ("SELECT", "SELECT, UPDATE"),
    "function": ("EXECUTE", "EXECUTE"),
    "procedure": ("EXECUTE", "EXECUTE"),
    "type": ("USAGE", "USAGE"),
    "language": ("USAGE", "USAGE"),
    "tablespace": ("CREATE", "CREATE"),
    "foreign-data wrapper": ("USAGE", "USAGE"),
    "foreign server": ("USAGE", "USAGE"),
    "parameter": ("SET", "SET"),
}
OF_THE_ROLE = (
    ("permission denied to create database", "the right to create databases", "ALTER ROLE {to} CREATEDB"),
    ("permission denied to rename database", "the right to create databases", "ALTER ROLE {to} CREATEDB"),
    ("permission denied to create role", "the right to create roles", "ALTER ROLE {to} CREATEROLE"),
    ("is not permitted to log in", "the right to log in", "ALTER ROLE {to} LOGIN"),
)
DENIED = re.compile(rf"permission denied for (?P<kind>{'|'.join(PRIVILEGES)}) {NAME}", re.MULTILINE)
NOT_OWNER = re.compile(
    rf"must be owner of (?P<kind>{'|'.join(RELATIONS)}|schema|database|type|function) {NAME}", re.MULTILINE
)
NOT_EVERY_ROW = re.compile(r'row-level security policy for table "(?P<name>[^\n]+?)"')
# As versions 13 to 18 put it, for predefined roles and for those of people.
NO_MEMBER = re.compile(
    r"(?:with privileges of the|must have privileges of the|must be (?:a )?member of(?: the)?(?: role)?"
    r'|must be able to SET ROLE|permission denied to set role) "(?P<name>[^"\n]+)"'
)


@dataclass(frozen=True)
class MissingPrivilege:
    """A right that the role lacks.

    Args:
        kind: of the object, as PostgreSQL calls it.
        name: of the object, "" where the right is of the role itself.
        right: in words.
        statement: that gives it, names quoted.
    """

    kind: str
    name: str
    right: str
    statement: str


Locate = Callable[[str], "str | None"]


def missing_privileges(
    said: str, role: str, *, changes: bool, schema_of: Locate = lambda _name: None
) -> list[MissingPrivilege]:
    """What a text of PostgreSQL, or of a program that passes it on, says that the role lacks.

    Args:
        said: the text.
        role: that was refused.
        changes: whether objects were to be changed; otherwise they were to be read.
        schema_of: finds the schema of a table or sequence, which the server does not say.

    Returns:
        Each right once, in order.
    """
    found: dict[str, MissingPrivilege] = {}
    for one in _missing(said, role, changes=changes, schema_of=schema_of):
        found.setdefault(one.statement, one)
    return list(found.values())[:MAX_REPORTED]


def grant_hint(said: str, role: str, *, changes: bool, schema_of: Locate = lambda _name: None) -> str:
    """The same as sentences, "" where nothing is known to be missing."""
    return " ".join(
        f"Role {role} lacks {one.right}; an administrator or the owner gives it with: {one.statement};"
        for one in missing_privileges(said, role, changes=changes, schema_of=schema_of)
    )


def quote_name(*parts: str) -> str:
    """A name as it is written in SQL."""
    return sql.Identifier(*parts).as_string()


def _missing(said: str, role: str, *, changes: bool, schema_of: Locate) -> Iterator[MissingPrivilege]:
    to = quote_name(role)
    for match in DENIED.finditer(said):
        yield from _object(match["kind"], match["name"], to, changes=changes, schema_of=schema_of)
    for match in NOT_OWNER.finditer(said):
        kind, name = match["kind"], match["name"]
        statement = f"ALTER {_written(kind, name, schema_of, owned=True)} OWNER TO {to}"
        yield MissingPrivilege(kind, name, f"the ownership of {kind} {name}", statement)
    for match in NOT_EVERY_ROW.finditer(said):
        name = match["name"]
        yield MissingPrivilege(
            "table", name, f"the right to see every row of {name}", f"ALTER ROLE {to} BYPASSRLS"
        )
    for phrase, right, statement in OF_THE_ROLE:
        if phrase in said:
            yield MissingPrivilege("role", "", right, statement.format(to=to))
    for match in NO_MEMBER.finditer(said):
        name = match["name"]
        yield MissingPrivilege("role", name, f"membership of {name}", f"GRANT {quote_name(name)} TO {to}")


def _object(kind: str, name: str, to: str, *, changes: bool, schema_of: Locate) -> Iterator[MissingPrivilege]:
    if kind not in PRIVILEGES:
        return
    reading, changing = PRIVILEGES[kind]
    rights = changing if changes else reading
    if kind == "large object":
        name = re.sub(r"\D", "", name)
        where = f"LARGE OBJECT {name}"
    else:
        where = _written(kind, name, schema_of)
    yield MissingPrivilege(kind, name, f"{rights} on {kind} {name}", f"GRANT {rights} ON {where} TO {to}")


def _written(kind: str, name: str, schema_of: Locate, *, owned: bool = False) -> str:
    """An object as GRANT and ALTER take it. GRANT calls whatever can be read a table."""
    word = kind.replace("-", " ").upper()
    if kind == "relation" or (kind in RELATIONS and kind != "sequence" and not owned):
        word = "TABLE"
    schema = schema_of(name) if kind in RELATIONS else None
    return f"{word} {quote_name(schema, name) if schema else quote_name(name)}"
