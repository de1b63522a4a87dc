"""Tests that a restore copies the database's connection limit, privileges and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deployctl.operations.kinds.restore import Restore
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import database_settings
from deployctl.postgres.queries.database_settings import Privilege, Setting
from tests.operations.restores import back_up, perform


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    return parse_url(make_database())


@pytest.fixture
def admin(postgres_superuser_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_superuser_url, autocommit=True) as session:
        yield session


@pytest.fixture
def other(admin: psycopg.Connection, shop: ConnectionSpec) -> Iterator[str]:
    """Create a role whose name needs quoting, and drop it with its privileges afterwards."""
    name = f'app "x" of {shop.user}'
    admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield name
    for database in (shop.dbname, *kept_of(admin, shop)):
        admin.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(
                sql.Identifier(database), sql.Identifier(name)
            )
        )
    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def kept_of(admin: psycopg.Connection, shop: ConnectionSpec) -> list[str]:
    rows = admin.execute("SELECT datname FROM pg_database WHERE datname ~ %s", [f"^{shop.dbname}_before_"])
    return [name for (name,) in rows]


def alter(admin: psycopg.Connection, statement: str, shop: ConnectionSpec, role: str = "") -> None:
    admin.execute(sql.SQL(statement).format(database=sql.Identifier(shop.dbname), role=sql.Identifier(role)))


def test_privileges_connection_limit_and_settings_are_copied(
    shop: ConnectionSpec, admin: psycopg.Connection, other: str, tmp_path: Path
) -> None:
    artefact = back_up(shop, tmp_path)
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {role} WITH GRANT OPTION",
        "GRANT CREATE ON DATABASE {database} TO {role}",
        "ALTER DATABASE {database} CONNECTION LIMIT 40",
        """ALTER DATABASE {database} SET search_path = "$user", "a, b", public""",
        "ALTER DATABASE {database} SET application_name = 'it''s \\ \"a, b\"'",
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
    ):
        alter(admin, statement, shop, other)
    alter(admin, "ALTER ROLE {role} IN DATABASE {database} SET work_mem = '5MB'", shop, shop.user)
    before = database_settings.settings(admin, shop.dbname)

    job, _ = perform(Restore, shop, tmp_path, artefact)

    assert len(kept_of(admin, shop)) == 1
    assert database_settings.connection_limit(admin, shop.dbname) == 40
    assert database_settings.privileges(admin, shop.dbname) == [
        Privilege(other, "CONNECT", grantable=True),
        Privilege(other, "CREATE", grantable=False),
    ]
    assert database_settings.settings(admin, shop.dbname) == before
    assert Setting(shop.user, "work_mem", "5MB") in before
    assert len(before) == 4
    with connect(shop, application_name="test") as session:
        assert session.execute("SHOW search_path").fetchone() == ('"$user", "a, b", public',)
    assert "Not copied" not in job.text


def test_a_setting_that_the_role_may_not_set_is_logged_as_a_statement(
    shop: ConnectionSpec, admin: psycopg.Connection, other: str, tmp_path: Path
) -> None:
    artefact = back_up(shop, tmp_path)
    alter(admin, "ALTER DATABASE {database} SET log_statement = 'ddl'", shop)
    alter(admin, "ALTER ROLE {role} IN DATABASE {database} SET work_mem = '7MB'", shop, other)
    alter(admin, 'ALTER ROLE {role} IN DATABASE {database} SET search_path = "a, b", public', shop, other)

    job, outcome = perform(Restore, shop, tmp_path, artefact)

    assert outcome.facts["kept"] == kept_of(admin, shop)[0]
    warnings = [text for level, text in job.lines if level == "warning" and "Not copied" in text]
    assert len(warnings) == 3
    assert f"""ALTER DATABASE "{shop.dbname}" SET "log_statement" TO 'ddl';""" in warnings[0]
    for statement in (warning.rpartition("): ")[2] for warning in warnings):
        admin.execute(statement.encode())
    assert database_settings.settings(admin, shop.dbname) == [
        Setting(None, "log_statement", "ddl"),
        Setting(other, "search_path", '"a, b", public'),
        Setting(other, "work_mem", "7MB"),
    ]


def test_the_value_of_a_custom_parameter_is_not_logged(
    shop: ConnectionSpec, admin: psycopg.Connection, tmp_path: Path
) -> None:
    artefact = back_up(shop, tmp_path)
    alter(admin, "ALTER DATABASE {database} SET app.key = 'hunter2'", shop)

    job, _ = perform(Restore, shop, tmp_path, artefact)

    assert f'ALTER DATABASE "{shop.dbname}" SET "app"."key" TO …;' in job.text
    assert "hunter2" not in job.text


def test_default_settings_are_left_unset(
    shop: ConnectionSpec, admin: psycopg.Connection, tmp_path: Path
) -> None:
    perform(Restore, shop, tmp_path, back_up(shop, tmp_path))

    assert database_settings.connection_limit(admin, shop.dbname) == -1
    assert database_settings.privileges(admin, shop.dbname) is None
    assert database_settings.settings(admin, shop.dbname) == []
