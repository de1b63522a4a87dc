"""What makes the table of entries append-only: PostgreSQL refuses the rest."""

from __future__ import annotations

INSTALL = """
CREATE FUNCTION audit_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Audit entries are append-only: % is refused.', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Add another entry that says what changed.';
END
$$;
-- Per statement, so that even one that touches no row is refused.
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_append_only();
"""

REMOVE = """
DROP TRIGGER audit_entry_append_only ON audit_entry;
DROP FUNCTION audit_entry_is_append_only();
"""
