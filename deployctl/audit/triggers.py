"""PostgreSQL triggers that make the table of audit entries append-only."""

from __future__ import annotations

INSTALL = """
CREATE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Audit entries are append-only: % is not allowed.', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Append another entry that describes the change.';
END
$$;
-- Per statement, so that even a statement that affects no rows is rejected.
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_append_only();
"""

REMOVE = """
DROP TRIGGER audit_entry_append_only ON audit_entry;
DROP FUNCTION audit_entry_is_append_only();
"""
