"""Database triggers that prevent changing or deleting signatures (21 CFR 11.70)."""

from __future__ import annotations

INSTALL = """
CREATE FUNCTION signoff_row_is_permanent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Signatures are never changed or removed: % is refused.', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER signoff_signature_permanent BEFORE UPDATE OR DELETE OR TRUNCATE ON signoff_signature
    FOR EACH STATEMENT EXECUTE FUNCTION signoff_row_is_permanent();
CREATE TRIGGER signoff_staleness_permanent BEFORE UPDATE OR DELETE OR TRUNCATE ON signoff_staleness
    FOR EACH STATEMENT EXECUTE FUNCTION signoff_row_is_permanent();
"""

REMOVE = """
DROP TRIGGER signoff_staleness_permanent ON signoff_staleness;
DROP TRIGGER signoff_signature_permanent ON signoff_signature;
DROP FUNCTION signoff_row_is_permanent();
"""

# Tables that belong to signatures, with their names at migration 0004; 0007 renames two of them.
LATER_TABLES = (
    "signoff_withdrawal",
    "signoff_delegation",
    "signoff_delegationwithdrawal",
    "signoff_reminder",
    "signoff_slot",
)

INSTALL_LATER = "\n".join(
    f"""CREATE TRIGGER {table}_permanent BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION signoff_row_is_permanent();"""
    for table in LATER_TABLES
)
# The only column of a gate that may change is its state.
INSTALL_LATER += """
CREATE TRIGGER signoff_gate_permanent BEFORE DELETE OR TRUNCATE OR UPDATE OF
    id, deployment_id, key, title, position, creator_may_sign, requires, requires_within ON signoff_gate
    FOR EACH STATEMENT EXECUTE FUNCTION signoff_row_is_permanent();
"""

REMOVE_LATER = "DROP TRIGGER signoff_gate_permanent ON signoff_gate;\n" + "\n".join(
    f"DROP TRIGGER {table}_permanent ON {table};" for table in reversed(LATER_TABLES)
)
