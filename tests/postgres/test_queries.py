"""Tests for the SQL queries, on a real database."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import (
    activity,
    constraints,
    databases,
    indexes,
    orphans,
    relations,
    server,
    snapshots,
)
from tests.waiting import until


@pytest.fixture
def spec(make_database: Callable[..., str]) -> ConnectionSpec:
    return parse_url(make_database())


@pytest.fixture
def session(spec: ConnectionSpec) -> Iterator[psycopg.Connection]:
    with connect(spec, application_name="test") as opened:
        yield opened


def test_server_version_role_and_identity_are_queried(
    session: psycopg.Connection, spec: ConnectionSpec
) -> None:
    about, role, identity = server.facts(session), server.role(session), server.identity(session)

    assert about.version_number == session.info.server_version
    assert about.major == session.info.server_version // 10000
    assert (role.name, role.superuser, role.create_database) == (spec.user, False, True)
    assert identity.database == spec.dbname
    assert identity.system_identifier is not None
    assert server.database_size(session) > 0
    assert server.latency_ms(session) > 0
    assert server.encryption(session).used is False
    assert server.setting(session, "max_connections")
    assert server.setting(session, "no.such_setting") is None


def test_autovacuum_workers_are_not_sessions_of_a_database(
    session: psycopg.Connection, spec: ConnectionSpec
) -> None:
    session.execute(
        """
        CREATE TEMP VIEW pg_stat_activity AS
        SELECT pid, datname, usesysid, usename, application_name FROM pg_catalog.pg_stat_activity
        UNION ALL SELECT 1, current_database(), NULL, NULL, ''
        """
    )
    with connect(spec, application_name="reader") as reader:
        found = databases.sessions(session, spec.dbname)

        assert [(one.pid, one.application_name) for one in found] == [(reader.info.backend_pid, "reader")]


def test_an_unreadable_system_identifier_is_none(
    session: psycopg.Connection, spec: ConnectionSpec, postgres_superuser_url: str
) -> None:
    superuser = parse_url(postgres_superuser_url).with_database(spec.dbname)
    with connect(superuser, application_name="admin") as admin:
        admin.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")

    assert server.identity(session).system_identifier is None


def test_tables_are_those_whose_rows_are_dumped(session: psycopg.Connection) -> None:
    session.execute(
        """
        CREATE TABLE "Plan" (id int);
        INSERT INTO "Plan" SELECT generate_series(1, 1000);
        CREATE TABLE parent (day date) PARTITION BY RANGE (day);
        CREATE TABLE part PARTITION OF parent FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        CREATE UNLOGGED TABLE scratch (id int);
        CREATE TEMPORARY TABLE mine (id int);
        CREATE VIEW shown AS SELECT 1 AS one;
        CREATE SCHEMA "odd ""schema";
        CREATE TABLE "odd ""schema"."odd.table" (id int);
        """
    )

    found = relations.tables(session)

    assert found[0].key == "public.Plan"
    assert {table.key for table in found} == {
        "public.Plan",
        "public.part",
        "public.scratch",
        'odd "schema.odd.table',
    }
    assert all(table.readable for table in found)
    assert relations.count_rows(session, found[0].identifier) == 1000
    assert [table.key for table in relations.tables(session, schema='odd "schema')] == [
        'odd "schema.odd.table'
    ]


def test_rows_of_inheriting_tables_are_counted_on_request(session: psycopg.Connection) -> None:
    session.execute(
        "CREATE TABLE base (id int); CREATE TABLE child () INHERITS (base); INSERT INTO child VALUES (1)"
    )

    assert relations.count_rows(session, sql.Identifier("base")) == 1
    assert relations.count_rows(session, sql.Identifier("base"), only=True) == 0


def test_a_table_is_found_by_its_exact_name(session: psycopg.Connection) -> None:
    session.execute('CREATE TABLE "Plan" (id int)')

    assert relations.find(session, "Plan") == sql.Identifier("public", "Plan")
    assert relations.find(session, "plan") is None
    assert relations.find(session, "Plan", schema="other") is None


def test_an_invalid_index_is_found(session: psycopg.Connection) -> None:
    session.execute("CREATE TABLE pair (n int); INSERT INTO pair VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute("CREATE UNIQUE INDEX CONCURRENTLY broken ON pair (n)")
    session.execute("CREATE INDEX sound ON pair (n)")

    found = {index.name: index.is_usable for index in indexes.indexes(session)}
    assert found == {"broken": False, "sound": True}


@pytest.fixture
def orders(session: psycopg.Connection) -> psycopg.Connection:
    session.execute(
        """
        CREATE TABLE "Customer" (region text, id int, PRIMARY KEY (region, id));
        CREATE TABLE "Order" (id int PRIMARY KEY, region text, "customerId" int);
        INSERT INTO "Customer" VALUES ('north', 1);
        INSERT INTO "Order" VALUES (1, 'north', 1), (2, 'south', 9), (3, 'south', 9),
            (4, NULL, 9), (5, 'x', 7);
        ALTER TABLE "Order" ADD CONSTRAINT order_customer
            FOREIGN KEY (region, "customerId") REFERENCES "Customer" (region, id) NOT VALID;
        """
    )
    return session


def test_a_foreign_key_that_is_not_validated_is_found(orders: psycopg.Connection) -> None:
    (key,) = constraints.foreign_keys(orders)

    assert (key.table, key.columns) == ("Order", ["region", "customerId"])
    assert (key.referenced_table, key.referenced_columns) == ("Customer", ["region", "id"])
    assert not key.validated
    found = constraints.constraints(orders)
    assert [constraint.name for constraint in found if not constraint.validated] == ["order_customer"]
    assert {constraint.kind for constraint in found} >= {"primary key", "foreign key"}


def test_orphans_are_counted_with_a_sample_and_without_nulls(orders: psycopg.Connection) -> None:
    (key,) = constraints.foreign_keys(orders)

    found = orphans.orphans_of(orders, key)

    assert found.count == 3
    assert found.sample == ["south, 9", "x, 7"]
    assert orphans.orphans_of(orders, key, sample=1).sample == ["south, 9"]


def test_sessions_are_terminated_by_application_name_prefix(spec: ConnectionSpec) -> None:
    with connect(spec, application_name="reaper") as reaper:
        ended = connect(spec, application_name="deployctl:1:4")
        spared = connect(spec, application_name="deployctl:12:1")

        assert activity.pids_named(reaper, "deployctl:1:") == [ended.info.backend_pid]
        assert activity.terminate_named(reaper, "deployctl:1:") == []

        assert spared.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError):
            ended.execute("SELECT 1")
        ended.close()
        spared.close()


def test_connections_are_counted_with_their_limit(session: psycopg.Connection) -> None:
    use = activity.connection_use(session)

    assert 1 <= use.used <= use.available < use.maximum


def test_a_blocker_is_found_with_its_statement_and_start(spec: ConnectionSpec) -> None:
    mark = f"deployctl:{os.getpid()}:"
    with (
        connect(spec, application_name="watch") as watch,
        connect(spec, application_name="forgotten psql") as holder,
        connect(spec, application_name=f"{mark}1", lock_timeout_s=600) as waiter,
    ):
        pids = (waiter.info.backend_pid, holder.info.backend_pid)
        watch.execute('CREATE TABLE "Plan" (id int)')
        holder.execute("BEGIN")
        holder.execute('LOCK TABLE "Plan" IN ACCESS EXCLUSIVE MODE')
        thread = threading.Thread(target=lambda: waiter.execute('SELECT * FROM "Plan"'))
        thread.start()
        found: list[activity.Blocker] = []

        def has_to_wait() -> bool:
            found[:] = activity.blockers_of_named(watch, mark)
            return bool(found)

        try:
            until(has_to_wait)
        finally:
            holder.execute("ROLLBACK")
            thread.join()

    (blocker,) = found
    assert (blocker.waiting_pid, blocker.pid) == pids
    assert (blocker.application_name, blocker.state) == ("forgotten psql", "idle in transaction")
    assert blocker.query == 'LOCK TABLE "Plan" IN ACCESS EXCLUSIVE MODE'
    assert (blocker.relation, blocker.mode) == ('"Plan"', "AccessExclusiveLock")
    assert blocker.transaction_since is not None


def test_a_snapshot_can_be_imported_by_another_session(
    session: psycopg.Connection, spec: ConnectionSpec
) -> None:
    session.execute("CREATE TABLE t AS SELECT 1 AS n; SET statement_timeout = '1min'")
    snapshot = snapshots.begin(session)
    with connect(spec, application_name="writer") as writer:
        writer.execute("INSERT INTO t VALUES (2)")

        assert relations.count_rows(writer, sql.Identifier("t")) == 2
        writer.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        writer.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot.id)))
        assert relations.count_rows(writer, sql.Identifier("t")) == 1

    assert relations.count_rows(session, sql.Identifier("t")) == 1
    assert server.setting(session, "statement_timeout") == "0"
    snapshots.end(session)


def test_a_database_is_found_by_its_exact_name(session: psycopg.Connection, spec: ConnectionSpec) -> None:
    found = databases.find(session, spec.dbname)

    assert found is not None
    assert (found.owner, found.encoding) == (spec.user, "UTF8")
    assert databases.find(session, "%") is None
