"""Runs as a role without privileges name the missing one and the statement that grants it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from psycopg import sql

from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.runs.models import Run, RunState, Target

Executed = Callable[..., Run]
PROJECT = """
[migrations]
tool = "sql"
folder = "sql"
[expect.counts]
Plan = 1
"""


@pytest.fixture
def superuser(real_target: Target, postgres_superuser_url: str) -> ConnectionSpec:
    return parse_url(postgres_superuser_url).with_database(real_target.spec().dbname)


@pytest.fixture
def unprivileged(
    real_target: Target,
    superuser: ConnectionSpec,
    secret_file: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Target]:
    """Return a target whose role owns nothing and may not read the table "Plan"."""
    role = f"unprivileged {superuser.dbname[-10:]}"
    with connect(superuser, application_name="test") as admin:
        admin.execute(
            sql.SQL(
                """
                CREATE ROLE {role} LOGIN PASSWORD 'word';
                CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO {role};
                CREATE TABLE public."Plan" (id int); INSERT INTO public."Plan" VALUES (1);
                CREATE TABLE shop.open (id int); GRANT SELECT ON shop.open TO {role};
                """
            ).format(role=sql.Identifier(role))
        )
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "001_add.sql").write_text('INSERT INTO "Plan" VALUES (2);')
    (tmp_path / "deployctl.toml").write_text(PROJECT)
    monkeypatch.setattr(settings, "DEPLOYCTL_PROJECT_ROOTS", [tmp_path])
    url = replace(superuser, user=role, password="word").url
    Target.objects.filter(pk=real_target.pk).update(
        connection_reference=secret_file(url), project_folder=str(tmp_path)
    )
    real_target.refresh_from_db()
    yield real_target
    with connect(superuser, application_name="test") as admin:
        admin.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(role)))


def failed(run: Run) -> str:
    assert run.state == RunState.FAILED, run.summary
    return run.summary


def test_each_operation_names_the_missing_grant_and_then_works(
    unprivileged: Target, superuser: ConnectionSpec, executed: Executed
) -> None:
    to = sql.Identifier(unprivileged.spec().user).as_string()
    with connect(superuser, application_name="test") as admin:

        def grant(statement: str, summary: str) -> None:
            assert f"{statement};" in summary, summary
            admin.execute(statement.encode())

        grant(f'GRANT SELECT ON TABLE "public"."Plan" TO {to}', failed(executed(unprivileged, "validate")))
        assert "permission denied" not in executed(unprivileged, "validate").summary

        admin.execute(
            sql.SQL('REVOKE SELECT ON "Plan" FROM {}').format(sql.Identifier(unprivileged.spec().user))
        )
        grant(f"GRANT pg_read_all_data TO {to}", failed(executed(unprivileged, "backup")))
        assert executed(unprivileged, "backup").state == RunState.SUCCEEDED

        for kind in ("test_restore", "restore"):
            summary = failed(executed(unprivileged, kind))
            assert f"ALTER ROLE {to} CREATEDB;" in summary

        grant(f'GRANT USAGE, CREATE ON SCHEMA "public" TO {to}', failed(executed(unprivileged, "migrate")))
        grant(f'GRANT ALL ON TABLE "public"."Plan" TO {to}', failed(executed(unprivileged, "migrate")))
        migrated = executed(unprivileged, "migrate")
        assert migrated.state == RunState.SUCCEEDED, migrated.summary

        version = admin.info.server_version // 10000
        wanted = f'GRANT MAINTAIN ON "public"."Plan" TO {to}' if version >= 17 else f"TO {to}"
        for kind in ("analyze", "vacuum"):
            assert wanted in failed(executed(unprivileged, kind))
    baseline = executed(unprivileged, "baseline", seconds=1)
    assert baseline.state == RunState.SUCCEEDED, baseline.summary


def test_a_dump_that_cannot_read_a_large_object_names_the_grant(
    unprivileged: Target, superuser: ConnectionSpec, executed: Executed
) -> None:
    to = sql.Identifier(unprivileged.spec().user).as_string()
    with connect(superuser, application_name="test") as admin:
        admin.execute(f"GRANT SELECT ON \"Plan\" TO {to}; SELECT lo_from_bytea(4711, 'x')".encode())
        summary = failed(executed(unprivileged, "backup", digests=False))
        assert f"GRANT SELECT ON LARGE OBJECT 4711 TO {to};" in summary
