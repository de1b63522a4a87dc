"""Tests for restores: the copy is proven before the swap, and a failure leaves the original unchanged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deployctl.operations.backup.manifest import Damaged
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.drop_kept_database import DropKeptDatabase
from deployctl.operations.kinds.restore import Restore
from deployctl.operations.restore import database_swap, pg_restore
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url
from deployctl.postgres.queries import databases
from tests.operations.restores import back_up, databases_of, job_for, on_record, perform
from tests.operations.test_backup import UNUSUAL_NAMES
from tests.waiting import until


@pytest.fixture
def shop(make_database: Callable[..., str]) -> ConnectionSpec:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT n FROM generate_series(1, 1000) AS n")
    return spec


def plans(spec: ConnectionSpec) -> int:
    with connect(spec, application_name="test") as session:
        row = session.execute("SELECT count(*) FROM plan").fetchone()
    assert row is not None
    return int(row[0])


def delete_rows(spec: ConnectionSpec) -> None:
    with connect(spec, application_name="test") as session:
        session.execute("DELETE FROM plan WHERE n > 10")


def test_a_restore_swaps_in_the_backup_and_keeps_the_original(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    delete_rows(shop)
    with connect(shop.with_database("postgres"), application_name="test") as session:
        databases.comment(session, shop.dbname, "the shop's own comment")

    job, outcome = perform(Restore, shop, tmp_path, artefact)

    kept = f"{shop.dbname}_before_{job.run_id}"
    assert outcome.facts["kept"] == kept
    assert outcome.trust == {artefact.name: ("hashed", "restored", "proven")}
    assert databases_of(shop) == [shop.dbname, kept]
    assert (plans(shop), plans(shop.with_database(kept))) == (1000, 10)
    with connect(shop.with_database("postgres"), application_name="test") as session:
        found = databases.find(session, shop.dbname)
        assert found is not None
        assert found.oid == outcome.database_oid
        assert databases.comment_of(session, shop.dbname) == "the shop's own comment"

    _, released = perform(DropKeptDatabase, shop, tmp_path)
    assert released.facts["database"] == kept
    assert databases_of(shop) == [shop.dbname]
    assert plans(shop) == 1000


def test_sessions_that_keep_reconnecting_do_not_block_the_swap(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact, done = back_up(shop, tmp_path), threading.Event()

    def connect_again() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(shop.conninfo(application_name="pool")) as session:
                    session.execute("SELECT pg_sleep(600)")
            except psycopg.Error:
                continue

    pool = [threading.Thread(target=connect_again) for _ in range(3)]
    for member in pool:
        member.start()
    try:
        _, outcome = perform(Restore, shop, tmp_path, artefact)
    finally:
        done.set()
        with connect(shop.with_database("postgres"), application_name="test") as session:

            def all_have_left() -> bool:
                # Repeated, because a session may just have reconnected.
                for name in databases_of(shop):
                    databases.end_sessions(session, name)
                return not any(member.is_alive() for member in pool)

            until(all_have_left)

    assert outcome.facts["kept"]
    assert plans(shop) == 1000


@pytest.mark.fault(20)
@pytest.mark.parametrize("where", ["restore", "compare", "names"])
def test_a_failed_restore_leaves_the_original_unchanged(
    shop: ConnectionSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seen: Callable[[str], None],
    where: str,
) -> None:
    artefact = back_up(shop, tmp_path)
    delete_rows(shop)
    with connect(shop.with_database("postgres"), application_name="test") as session:
        before = databases.find(session, shop.dbname)
    restore, rename = pg_restore.restore, databases.rename

    def damaged(*args: object, into: str, **options: object) -> None:
        with connect(shop.with_database(into), application_name="test") as session:
            if where == "restore":
                session.execute("CREATE TABLE plan (in_the_way int)")
            restore(*args, into=into, **options)  # type: ignore[arg-type]
            session.execute("INSERT INTO plan VALUES (0)")

    def rename_once(session: psycopg.Connection, old: str, new: str) -> None:
        rename(session, old, new if old == shop.dbname else "postgres")

    if where == "names":
        monkeypatch.setattr(databases, "rename", rename_once)
    else:
        monkeypatch.setattr(pg_restore, "restore", damaged)

    with pytest.raises(OperationFailed, match=f"{shop.dbname} is unchanged"):
        perform(Restore, shop, tmp_path, artefact)

    assert databases_of(shop) == [shop.dbname]
    assert plans(shop) == 10
    with connect(shop.with_database("postgres"), application_name="test") as session:
        assert databases.find(session, shop.dbname) == before
    seen(f"cut off in {where}: the original is unchanged")


def test_a_session_that_cannot_be_terminated_blocks_the_swap(
    shop: ConnectionSpec, tmp_path: Path, postgres_superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = back_up(shop, tmp_path)
    monkeypatch.setattr(database_swap, "ATTEMPTS", 1)
    superuser = parse_url(postgres_superuser_url).with_database(shop.dbname)
    with connect(superuser, application_name="forgotten psql") as admin:
        pid = admin.info.backend_pid

        with pytest.raises(OperationFailed, match=rf"session {pid} of role .*is unchanged"):
            perform(Restore, shop, tmp_path, artefact)

        admin.execute("SELECT 1")
    assert databases_of(shop) == [shop.dbname]


def test_the_most_trusted_backup_is_restored_even_if_another_is_newer(
    shop: ConnectionSpec, tmp_path: Path
) -> None:
    proven = on_record(back_up(shop, tmp_path), "proven")
    newer = on_record(back_up(shop, tmp_path))

    assert perform(Restore, shop, tmp_path, newer, proven)[1].facts["backup"] == proven.name


def test_a_backup_without_digests_is_restored_only_on_request(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path, digests=False)

    with pytest.raises(OperationFailed, match="has no digests"):
        perform(Restore, shop, tmp_path, artefact)
    _, outcome = perform(Restore, shop, tmp_path, artefact, accept_row_counts=True)

    assert outcome.trust == {artefact.name: ("hashed", "restored")}


def test_a_damaged_backup_is_not_restored(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    (artefact.path / "toc.dat").write_bytes(b"")

    with pytest.raises(Damaged, match=r"toc\.dat of .* is empty"):
        perform(Restore, shop, tmp_path, artefact)
    assert databases_of(shop) == [shop.dbname]


def test_a_missing_database_is_restored(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    with connect(shop.with_database("postgres"), application_name="test") as session:
        databases.end_sessions(session, shop.dbname)
        databases.drop(session, shop.dbname)

    _, outcome = perform(Restore, shop, tmp_path, artefact)

    assert outcome.facts["kept"] is None
    assert plans(shop) == 1000


def test_a_pre_restore_backup_of_production_stays_on_record(
    shop: ConnectionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artefact = back_up(shop, tmp_path)
    delete_rows(shop)

    job, outcome = perform(Restore, shop, tmp_path, artefact, environment="production")

    (part,) = job.backup_catalog.settled
    assert part.artefact is not None
    assert part.artefact.counts == {"public.plan": 10}
    assert outcome.facts["backup_before"] == part.artefact.name
    assert ("Back up first: Read the files back", "succeeded") in job.steps
    assert plans(shop) == 1000

    def fail(*_: object, **__: object) -> None:
        raise OperationFailed("The disk is on fire.")

    monkeypatch.setattr(pg_restore, "restore", fail)
    failing = job_for(Restore, shop, tmp_path, [artefact], environment="production")
    with pytest.raises(OperationFailed, match="on fire"):
        Restore().perform(failing)
    failing.close()
    assert [part.artefact is not None for part in failing.backup_catalog.settled] == [True]


def test_the_pre_restore_backup_is_skipped_only_with_a_reason(
    shop: ConnectionSpec, tmp_path: Path, postgres_superuser_url: str
) -> None:
    artefact = back_up(shop, tmp_path)
    superuser = parse_url(postgres_superuser_url).with_database(shop.dbname)
    with connect(superuser, application_name="test") as admin:
        admin.execute("CREATE TABLE damaged ()")
    with pytest.raises(
        OperationFailed, match=r"is unchanged.*can't read.*Reason to skip the pre-restore backup"
    ):
        perform(Restore, shop, tmp_path, artefact, environment="production")

    reason = "Nobody can read the table damaged."
    job, outcome = perform(
        Restore, shop, tmp_path, artefact, environment="production", no_backup_reason=reason
    )

    assert outcome.facts["backup_before"] is None
    assert any(level == "warning" and reason in text for level, text in job.lines)
    assert job.backup_catalog.settled == []


def test_a_database_of_another_owner_is_rejected_with_the_statement(
    shop: ConnectionSpec, tmp_path: Path, postgres_superuser_url: str
) -> None:
    artefact = back_up(shop, tmp_path)
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(shop.dbname)))

    with pytest.raises(OperationFailed, match=f'OWNER TO "{shop.user}"; or connect as'):
        perform(Restore, shop, tmp_path, artefact)


@pytest.mark.fault(22)
@pytest.mark.parametrize("name", [*UNUSUAL_NAMES, "x" * 63, "é" * 31])
def test_databases_with_special_names_are_restored_and_dropped(
    make_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    spec = parse_url(make_database(name))
    with connect(spec, application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT 1 AS n")
    artefact = back_up(spec, tmp_path)

    kept = perform(Restore, spec, tmp_path, artefact)[1].facts["kept"]

    assert databases_of(spec) == sorted([name, str(kept)])
    assert perform(DropKeptDatabase, spec, tmp_path)[1].facts["database"] == kept
    assert databases_of(spec) == [name]


def test_only_unused_kept_databases_can_be_dropped(shop: ConnectionSpec, tmp_path: Path) -> None:
    artefact = back_up(shop, tmp_path)
    with connect(shop.with_database("postgres"), application_name="test") as session:
        session.execute(
            sql.SQL("CREATE DATABASE {}").format(sql.Identifier(foreign := f"{shop.dbname}_before_1"))
        )
    with pytest.raises(OperationFailed, match="Nothing was dropped: no restore kept"):
        perform(DropKeptDatabase, shop, tmp_path)
    kept = [str(perform(Restore, shop, tmp_path, artefact)[1].facts["kept"]) for _ in range(2)]

    with pytest.raises(
        OperationFailed, match=f"there are several kept databases. Name one of {', '.join(kept)}"
    ):
        perform(DropKeptDatabase, shop, tmp_path)
    with pytest.raises(OperationFailed, match="is not a kept database"):
        perform(DropKeptDatabase, shop, tmp_path, database=foreign)
    with (
        connect(shop.with_database(kept[0]), application_name="reader"),
        pytest.raises(
            OperationFailed, match=r"is in use by session \d+ of role \w+ \(reader\)\. Nothing was"
        ),
    ):
        perform(DropKeptDatabase, shop, tmp_path, database=kept[0])

    perform(DropKeptDatabase, shop, tmp_path, database=kept[1])
    assert databases_of(shop) == sorted([shop.dbname, foreign, kept[0]])
