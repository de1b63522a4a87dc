"""Find the missing privilege in an error message of PostgreSQL, and the statement that grants it.

The server's message names only the object; the privilege follows from the intended access, reading or
changing. Messages in other languages than English are not recognized.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from psycopg import sql

# A name ends at the end of the line, or where our own message continues: at the SQLSTATE, or at ". ".
NAME = r"(?P<name>[^\n]+?)(?= \(42501\)|\.? ?$|\.? ?\n|\. )"
MAX_REPORTED = 5
RELATIONS = frozenset({"table", "view", "materialized view", "foreign table", "sequence", "relation"})

# Kind of object → the privileges to read it, and to change it or its contents.
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
ROLE_ATTRIBUTES = (
    ("permission denied to create database", "CREATEDB"),
    ("permission denied to rename database", "CREATEDB"),
    ("permission denied to create role", "CREATEROLE"),
    ("is not permitted to log in", "LOGIN"),
)
DENIED = re.compile(rf"permission denied for (?P<kind>{'|'.join(PRIVILEGES)}) {NAME}", re.MULTILINE)
NOT_OWNER = re.compile(
    rf"must be owner of (?P<kind>{'|'.join(RELATIONS)}|schema|database|type|function) {NAME}", re.MULTILINE
)
ROW_SECURITY = re.compile(r'row-level security policy for table "(?P<name>[^\n]+?)"')
# The wording of versions 13 to 18, for predefined and for other roles.
NOT_MEMBER = re.compile(
    r"(?:with privileges of the|must have privileges of the|must be (?:a )?member of(?: the)?(?: role)?"
    r'|must be able to SET ROLE|permission denied to set role) "(?P<name>[^"\n]+)"'
)


@dataclass(frozen=True)
class MissingPrivilege:
    """A privilege, attribute or membership that the role lacks.

    Args:
        kind: the kind of the object in PostgreSQL's terms.
        name: the name of the object; "" for an attribute of the role itself.
        description: such as "SELECT on table visit".
        statement: the statement that grants it, with names quoted.
    """

    kind: str
    name: str
    description: str
    statement: str


FindSchema = Callable[[str], "str | None"]


def missing_privileges(
    message: str, role: str, *, changes: bool, schema_of: FindSchema = lambda _name: None
) -> list[MissingPrivilege]:
    """Return the privileges that a message of PostgreSQL or of its programs reports as missing.

    Args:
        role: the role that was denied.
        changes: True if objects were to be changed, False if they were to be read.
        schema_of: returns the schema of a table or sequence, which the message doesn't contain.

    Returns:
        Each privilege once, in the order of the message.
    """
    found: dict[str, MissingPrivilege] = {}
    for missing in _missing(message, role, changes=changes, schema_of=schema_of):
        found.setdefault(missing.statement, missing)
    return list(found.values())[:MAX_REPORTED]


def grant_hint(message: str, role: str, *, changes: bool, schema_of: FindSchema = lambda _name: None) -> str:
    """Return sentences with the statements that grant the missing privileges, or "" if none is recognized."""
    return " ".join(
        f"Role {role} lacks {missing.description}. An administrator or the owner can grant it with: "
        f"{missing.statement};"
        for missing in missing_privileges(message, role, changes=changes, schema_of=schema_of)
    )


def quote_name(*parts: str) -> str:
    """Return a name quoted for use in SQL."""
    return sql.Identifier(*parts).as_string()


def _missing(message: str, role: str, *, changes: bool, schema_of: FindSchema) -> Iterator[MissingPrivilege]:
    to = quote_name(role)
    for match in DENIED.finditer(message):
        yield from _missing_on_object(match["kind"], match["name"], to, changes=changes, schema_of=schema_of)
    for match in NOT_OWNER.finditer(message):
        kind, name = match["kind"], match["name"]
        statement = f"ALTER {_sql_object(kind, name, schema_of, owned=True)} OWNER TO {to}"
        yield MissingPrivilege(kind, name, f"the ownership of {kind} {name}", statement)
    for match in ROW_SECURITY.finditer(message):
        name = match["name"]
        yield MissingPrivilege(
            "table",
            name,
            f"the attribute BYPASSRLS to read every row of {name}",
            f"ALTER ROLE {to} BYPASSRLS",
        )
    for phrase, attribute in ROLE_ATTRIBUTES:
        if phrase in message:
            yield MissingPrivilege("role", "", f"the attribute {attribute}", f"ALTER ROLE {to} {attribute}")
    for match in NOT_MEMBER.finditer(message):
        name = match["name"]
        yield MissingPrivilege("role", name, f"membership in {name}", f"GRANT {quote_name(name)} TO {to}")


def _missing_on_object(
    kind: str, name: str, to: str, *, changes: bool, schema_of: FindSchema
) -> Iterator[MissingPrivilege]:
    if kind not in PRIVILEGES:
        return
    to_read, to_change = PRIVILEGES[kind]
    privileges = to_change if changes else to_read
    if kind == "large object":
        name = re.sub(r"\D", "", name)
        where = f"LARGE OBJECT {name}"
    else:
        where = _sql_object(kind, name, schema_of)
    statement = f"GRANT {privileges} ON {where} TO {to}"
    yield MissingPrivilege(kind, name, f"{privileges} on {kind} {name}", statement)


def _sql_object(kind: str, name: str, schema_of: FindSchema, *, owned: bool = False) -> str:
    """Return an object in the syntax of GRANT or ALTER; GRANT uses TABLE for views as well."""
    word = kind.replace("-", " ").upper()
    if kind == "relation" or (kind in RELATIONS and kind != "sequence" and not owned):
        word = "TABLE"
    schema = schema_of(name) if kind in RELATIONS else None
    return f"{word} {quote_name(schema, name) if schema else quote_name(name)}"
