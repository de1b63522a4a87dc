"""The check of deployctl's privileges on the audit log."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from deployctl import audit
from deployctl.audit import Action, Machine
from deployctl.audit.privileges import audit_log_privileges
from deployctl.system_checks import audit_log_is_write_protected
from tests.conftest import Committed

TEST = Machine("test")


def test_the_owner_of_the_table_could_alter_entries(db: Any) -> None:
    found = audit_log_privileges()
    assert any("owns the table audit_entry" in reason for reason in found.reasons)
    assert audit_log_is_write_protected(databases=["default"])[0].id == "deployctl.W005"
    assert audit_log_is_write_protected(databases=None) == []


def test_a_disabled_trigger_is_reported(db: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
    assert any("missing or disabled" in reason for reason in audit_log_privileges().reasons)


def test_with_another_owner_the_application_can_only_append_and_read(
    committed_db: Committed, postgres_superuser_url: str
) -> None:
    url = urlsplit(postgres_superuser_url)._replace(path=f"/{committed_db.name}").geturl()
    with psycopg.connect(url, autocommit=True) as admin:
        # As in docs/audit.md.
        admin.execute(
            "DO $$ BEGIN CREATE ROLE deployctl_audit NOLOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        admin.execute("ALTER TABLE audit_entry OWNER TO deployctl_audit")
        admin.execute("ALTER FUNCTION audit_entry_is_append_only() OWNER TO deployctl_audit")
        admin.execute("GRANT USAGE ON SCHEMA public TO deployctl_audit")
        admin.execute("GRANT SELECT, UPDATE ON accounts_user TO deployctl_audit")
        admin.execute("GRANT SELECT, INSERT ON audit_entry TO deployctl_test")
    assert audit_log_privileges().reasons == []
    with transaction.atomic():
        audit.append(Action.PERSON_EDITED, by=TEST)
    assert audit.verify().ok
    with pytest.raises(ProgrammingError, match="must be owner"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
