"""What makes signatures permanent: PostgreSQL refuses to change or remove them (21 CFR 11.70)."""

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
