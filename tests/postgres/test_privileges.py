"""Tests that the suggested statements grant the missing privileges when a superuser runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from deployctl.postgres import privileges
from deployctl.postgres.connection import CannotConnect, ConnectionSpec, Reason, connect, parse_url
from deployctl.postgres.queries.relations import schema_of

ROLE = 'odd "role" of $(x)'
SCHEMA = 'odd "schema"'
TABLE = 'Line.a; "--table"'


@pytest.fixture
def superuser(make_database: Callable[..., str], postgres_superuser_url: str) -> ConnectionSpec:
    """Return a superuser on a database of its own."""
    return parse_url(postgres_superuser_url).with_database(parse_url(make_database()).dbname)


@pytest.fixture
def unprivileged(superuser: ConnectionSpec) -> Iterator[ConnectionSpec]:
    """Create a role whose only privilege is to connect, with a name that needs quoting."""
    name = f"{ROLE} {superuser.dbname[-10:]}"
    made = sql.Identifier(name)
    with connect(superuser, application_name="test") as session:
        session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'word'").format(made))

    yield replace(superuser, user=name, password="word")
    with connect(superuser, application_name="test") as session:
        session.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(made))


CASES = {
    "reading a table": ("TABLE ODD", False),
    "writing a table": ("INSERT INTO ODD VALUES (1)", True),
    "reading a view": ("SELECT * FROM seen", False),
    "a schema": ('SELECT * FROM "odd ""schema""".inner_table', False),
    "creating in a schema": ('CREATE TABLE "odd ""schema""".made (n int)', True),
    "a sequence": ("SELECT last_value FROM counter", False),
    "drawing from a sequence": ("SELECT nextval('counter')", True),
    "a function": ("SELECT secret()", False),
    "a large object": ("SELECT lo_get(4711)", False),
    "a schema of one's own": ("CREATE SCHEMA mine", True),
    "the owner's right on a table": ("ALTER TABLE ODD ADD COLUMN m int", True),
    "the owner's right on a view": ("DROP VIEW seen", True),
    "every row": ("SET row_security = off; SELECT * FROM rows", False),
    "a database": ("CREATE DATABASE never_made_by_a_test", True),
    "a role": ("CREATE ROLE never_made_by_a_test", True),
    "somebody else's role": ("SET ROLE lender", True),
}


@pytest.mark.parametrize("what", CASES)
def test_the_suggested_statement_grants_the_privilege(
    superuser: ConnectionSpec, unprivileged: ConnectionSpec, what: str
) -> None:
    statement, changes = CASES[what]
    lender = f"lender_{superuser.dbname[-10:]}"
    statement = statement.replace("lender", lender).replace("ODD", sql.Identifier(TABLE).as_string())
    with connect(superuser, application_name="test") as admin:
        admin.execute(
            sql.SQL(
                """
                REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC;
                CREATE TABLE {table} (n int); CREATE VIEW seen AS SELECT 1 AS n; CREATE SEQUENCE counter;
                CREATE SCHEMA {schema}; CREATE TABLE {schema}.inner_table (n int);
                GRANT SELECT ON {schema}.inner_table TO PUBLIC;
                CREATE FUNCTION secret() RETURNS int LANGUAGE sql AS 'SELECT 1';
                REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
                SELECT lo_create(4711);
                CREATE TABLE rows (n int); ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
                GRANT SELECT ON rows TO PUBLIC; CREATE ROLE {lender};
                """
            ).format(
                table=sql.Identifier(TABLE), schema=sql.Identifier(SCHEMA), lender=sql.Identifier(lender)
            )
        )
        try:
            with connect(unprivileged, application_name="test") as session:
                with pytest.raises(psycopg.Error) as caught:
                    session.execute(statement.encode())
                message = str(caught.value)
                found = privileges.missing_privileges(
                    message,
                    unprivileged.user,
                    changes=changes,
                    schema_of=lambda name: schema_of(session, name),
                )
            assert len(found) == 1, message
            assert privileges.quote_name(unprivileged.user) in found[0].statement
            admin.execute(found[0].statement.encode())
            with (
                connect(unprivileged, application_name="test") as session,
                session.transaction(force_rollback=True),
            ):
                _try_again(session, statement)
        finally:
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(lender)))


def _try_again(session: psycopg.Connection, statement: str) -> None:
    """Run a statement that may fail, but not for lack of a privilege."""
    try:
        session.execute(statement.encode())
    except psycopg.errors.ActiveSqlTransaction:
        return  # CREATE DATABASE isn't allowed in a transaction


def test_an_unrelated_message_has_no_missing_privileges() -> None:
    for message in (
        "",
        "permission denied",
        "relation does not exist",
        "permission denied for planet Mars (42501).",
    ):
        assert privileges.grant_hint(message, "r", changes=False) == ""


def test_messages_of_deployctl_and_of_programs_are_recognized() -> None:
    for message in (
        "Counts could not be checked: permission denied for table Plan (42501). Nothing was changed.",
        "pg_dump failed with exit status 1: pg_dump: error: query failed: ERROR:  permission denied "
        "for table Plan\npg_dump: detail: Query was: LOCK TABLE x.",
        "Alembic failed: psycopg.errors.InsufficientPrivilege: permission denied for table Plan.",
        "PostgreSQL said: permission denied for table Plan. “Seed” changes shop.",
    ):
        assert privileges.grant_hint(message, "app", changes=False, schema_of=lambda _name: "public") == (
            "Role app lacks SELECT on table Plan. An administrator or the owner can grant it with: "
            'GRANT SELECT ON TABLE "public"."Plan" TO "app";'
        )


def test_predefined_roles_are_recognized_in_every_versions_wording() -> None:
    for message in (
        'must be a member of the role "pg_signal_backend"',
        'Only roles with privileges of the "pg_signal_backend" role may do this.',
        'must be able to SET ROLE "pg_signal_backend"',
        'must be member of role "pg_signal_backend"',
    ):
        assert 'GRANT "pg_signal_backend" TO "r";' in privileges.grant_hint(message, "r", changes=True), (
            message
        )


def test_a_missing_connect_privilege_is_reported_with_its_grant(
    superuser: ConnectionSpec, unprivileged: ConnectionSpec
) -> None:
    with connect(superuser, application_name="test") as admin:
        database = sql.Identifier(superuser.dbname)
        admin.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
        with pytest.raises(CannotConnect) as caught:
            connect(unprivileged, application_name="test")
        assert caught.value.reason is Reason.NOT_ALLOWED
        names = [privileges.quote_name(name) for name in (unprivileged.dbname, unprivileged.user)]
        statement = "GRANT CONNECT ON DATABASE {} TO {}".format(*names)
        assert f"{statement};" in caught.value.message
        admin.execute(statement.encode())
    connect(unprivileged, application_name="test").close()


def test_a_role_without_login_is_reported_with_the_statement(
    superuser: ConnectionSpec, unprivileged: ConnectionSpec
) -> None:
    with connect(superuser, application_name="test") as admin:
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(unprivileged.user)))
        with pytest.raises(CannotConnect, match="LOGIN;"):
            connect(unprivileged, application_name="test")
