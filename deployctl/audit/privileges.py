"""Whether the application's own database role could alter what it wrote into the audit log.

Triggers refuse changes; whoever owns the table can take the triggers away. Where the table belongs to another
role, the application can only add and read (docs/audit.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from deployctl.audit.models import Entry

_QUESTION = """
SELECT current_user,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       pg_has_role(current_user, c.relowner, 'MEMBER'),
       pg_get_userbyid(c.relowner),
       has_table_privilege(c.oid, 'UPDATE'),
       has_table_privilege(c.oid, 'DELETE'),
       has_table_privilege(c.oid, 'TRUNCATE'),
       has_any_column_privilege(c.oid, 'UPDATE'),
       EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit_entry_append_only'
               AND t.tgenabled IN ('O', 'A'))
FROM pg_class c WHERE c.oid = %s::regclass
"""


@dataclass(frozen=True)
class Privileges:
    """What the application's role could do.

    Attributes:
        role: its name.
        reasons: sentences about how it could alter entries; empty where it could not.
    """

    role: str
    reasons: list[str]


def audit_log_privileges() -> Privileges:
    """Ask the database what the role that deployctl connects with may do to the table of entries."""
    table = Entry._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(_QUESTION, [table])
        role, superuser, is_owner, owner, update, delete, truncate, columns, guarded = cursor.fetchone()
    reasons = []
    if superuser:
        reasons.append(f"{role} is a superuser, who may do anything.")
    elif is_owner:
        how = "owns" if role == owner else f"is a member of {owner}, which owns"
        reasons.append(f"{role} {how} the table {table}, so it could take the triggers away.")
    else:
        granted = {"UPDATE": update or columns, "DELETE": delete, "TRUNCATE": truncate}
        held = [name for name, may in granted.items() if may]
        if held:
            reasons.append(f"{role} holds {', '.join(held)} on the table {table}.")
    if not guarded:
        reasons.append(f"The trigger audit_entry_append_only on {table} is missing or disabled.")
    return Privileges(role, reasons)
