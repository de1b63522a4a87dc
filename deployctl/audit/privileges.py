"""Check whether deployctl's own database role could alter the audit log.

Triggers reject changes, but the owner of the table can drop the triggers. If another role owns the table,
deployctl can only insert and read entries (docs/audit.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from deployctl.audit.models import Entry

_PRIVILEGES_QUERY = """
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
    """The privileges of deployctl's role on the audit log.

    Attributes:
        role: its name.
        reasons: sentences that say how it could alter entries; empty if it could not.
    """

    role: str
    reasons: list[str]


def audit_log_privileges() -> Privileges:
    """Query the privileges of deployctl's role on the table of audit entries."""
    table = Entry._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(_PRIVILEGES_QUERY, [table])
        role, superuser, is_owner, owner, update, delete, truncate, columns, guarded = cursor.fetchone()
    reasons = []
    if superuser:
        reasons.append(f"{role} is a superuser, so it can change anything.")
    elif is_owner:
        how = "owns" if role == owner else f"is a member of {owner}, which owns"
        reasons.append(f"{role} {how} the table {table}, so it could drop the triggers.")
    else:
        granted = {"UPDATE": update or columns, "DELETE": delete, "TRUNCATE": truncate}
        held = [name for name, is_granted in granted.items() if is_granted]
        if held:
            reasons.append(f"{role} has the privilege {', '.join(held)} on the table {table}.")
    if not guarded:
        reasons.append(f"The trigger audit_entry_append_only on {table} is missing or disabled.")
    return Privileges(role, reasons)
