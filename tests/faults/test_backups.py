"""Test backups and restores in real runs: records, damaged files and killed workers."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deployctl.errors import Refusal
from deployctl.operations.backup import manifest
from deployctl.operations.kinds.test_restore import RestoreTest
from deployctl.postgres.connection import connect
from deployctl.runs.execution import reaper
from deployctl.runs.models import Backup, Run, RunState, Target
from deployctl.runs.models.backup import BackupTrust
from tests.faults.conftest import expire_lease, has_ended, process_pids
from tests.faults.test_workers import Seen, StartWorker, request
from tests.operations.restores import databases_of
from tests.waiting import until


@pytest.fixture
def filled(shop: Target) -> Target:
    with connect(shop.spec(), application_name="test") as session:
        session.execute("CREATE TABLE plan AS SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n")
    return shop


Executed = Callable[..., Run]


@pytest.fixture
def backup(filled: Target, executed: Executed) -> Backup:
    run = executed(filled, "backup")
    assert run.state == RunState.SUCCEEDED, run.summary
    return Backup.objects.get(run=run)


def trust_levels(backup: Backup) -> list[tuple[str, int]]:
    return [(trust.level, trust.run_id) for trust in BackupTrust.objects.filter(backup=backup).order_by("pk")]


def oid_of(target: Target) -> Any:
    with psycopg.connect(target.spec().conninfo()) as session:
        row = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return row[0]


def test_verifications_and_test_restores_raise_the_trust_level(
    filled: Target, backup: Backup, executed: Executed
) -> None:
    created = backup.run_id
    assert trust_levels(backup) == [("written", created), ("hashed", created)]

    verified = executed(filled, "verify", backup=backup.name)
    restored = executed(filled, "test_restore")

    assert trust_levels(backup)[2:] == [
        ("hashed", verified.pk),
        ("hashed", restored.pk),
        ("restored", restored.pk),
        ("proven", restored.pk),
    ]
    displayed = Backup.objects.for_display().get(pk=backup.pk)
    assert displayed.trust == "proven"
    assert [(trust.level, trust.run_id) for trust in displayed.reached] == [
        ("proven", restored.pk),
        ("restored", restored.pk),
        ("hashed", restored.pk),
        ("written", created),
    ]
    assert displayed.last_restore_s == restored.facts["restore_s"]


@pytest.mark.fault(16)
def test_a_flipped_bit_in_any_file_fails_the_verification(
    filled: Target, backup: Backup, executed: Executed
) -> None:
    """Damage each file once. Another test and tests/operations/test_manifest.py damage a hundred places."""
    rng, folder = random.Random(16), filled.backup_folder().path(backup.name)
    for path in sorted(folder.iterdir()):
        with flipped_bit(path, rng):
            run = executed(filled, "verify")

        assert run.state == RunState.FAILED
        assert path.name in run.summary
    assert executed(filled, "verify").state == RunState.SUCCEEDED


@pytest.mark.slow(20)
@pytest.mark.fault(16)
def test_a_hundred_random_bit_flips_fail_the_verification(
    filled: Target, backup: Backup, executed: Executed, seen: Seen
) -> None:
    rng, found = random.Random(), Counter[str]()
    files = sorted(filled.backup_folder().path(backup.name).iterdir())
    for number in range(100):
        # Damage every file at least once.
        path = files[number] if number < len(files) else rng.choice(files)
        with flipped_bit(path, rng):
            run = executed(filled, "verify")
        assert run.state == RunState.FAILED, path
        assert path.name in run.summary, run.summary
        found[path.name] += 1
    assert executed(filled, "verify").state == RunState.SUCCEEDED
    files_found = ", ".join(f"{name} {times}" for name, times in found.items())
    seen(f"{found.total()} of 100 detected with the file name ({files_found}); verifies once repaired")


@pytest.mark.fault(17)
def test_each_kind_of_damage_has_its_own_message_in_a_failed_run(
    filled: Target, backup: Backup, executed: Executed, seen: Seen
) -> None:
    folder = filled.backup_folder().path(backup.name)
    rows = next(path.name for path in folder.glob("*.dat.gz"))
    intact = folder.with_name("intact")
    shutil.copytree(folder, intact)
    damages: dict[str, Callable[[Path], object]] = {
        "is truncated: 100 of": lambda path: path.write_bytes(path.read_bytes()[:100]),
        "is empty": lambda path: path.write_bytes(b""),
        "is missing": lambda path: path.unlink(),
        "but not in its manifest": lambda path: path.with_name("extra").write_bytes(b"x"),
        "has the content of toc.dat": lambda path: swap(path, path.with_name("toc.dat")),
    }
    for message, damage in damages.items():
        damage(folder / rows)

        run = executed(filled, "verify")

        assert run.state == RunState.FAILED
        assert message in run.summary
        shutil.rmtree(folder)
        shutil.copytree(intact, folder)
    assert len(trust_levels(backup)) == 2
    seen("“" + "”, “".join(damages) + "”")


def test_a_backup_with_a_replaced_manifest_is_not_restored(
    filled: Target, backup: Backup, executed: Executed
) -> None:
    folder = filled.backup_folder().path(backup.name)
    path = next(folder.glob("*.dat.gz"))
    path.write_bytes(b"rows of somebody else")
    written = manifest.read(folder)
    vars(written)["files"] = manifest.files_of(folder)
    written.write(folder)

    run = executed(filled, "restore")

    assert run.state == RunState.FAILED
    assert "is not the one written with the backup" in run.summary


def test_the_target_is_still_recognized_after_a_restore(
    filled: Target, backup: Backup, executed: Executed
) -> None:
    filled.check_identity("1", oid_of(filled))

    run = executed(filled, "restore")

    assert run.state == RunState.SUCCEEDED, run.summary
    filled.refresh_from_db()
    assert filled.database_oid == oid_of(filled) == run.facts["database_oid"]
    assert executed(filled, "drop_kept_database").state == RunState.SUCCEEDED
    assert databases_of(filled.spec()) == [filled.spec().dbname]


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("kind", "state"), [("test_restore", RunState.INTERRUPTED), ("restore", RunState.UNKNOWN)]
)
def test_a_worker_killed_in_a_restore_leaves_only_the_original(
    filled: Target, start_worker: StartWorker, seen: Seen, kind: str, state: RunState
) -> None:
    with connect(filled.spec(), application_name="test") as session:
        session.execute(
            # The restore takes long to recreate this index.
            "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$"
            " BEGIN IF current_database() LIKE 'deployctl%' THEN PERFORM pg_sleep(600); END IF;"
            " RETURN $1; END $$;"
            "CREATE INDEX ON plan (slow(n))"
        )
    worker = start_worker()
    backup = request(filled, "backup")
    until(has_ended(backup))
    run = request(filled, kind)
    name = filled.spec().dbname
    until(lambda: len(databases_of(filled.spec())) == 2 and process_pids(run))

    worker.kill()
    until(lambda: not process_pids(run), seconds=5)
    expire_lease(run)
    assert reaper.reap() == 1

    run.refresh_from_db()
    assert run.state == state
    assert databases_of(filled.spec()) == [name]
    assert oid_of(filled)
    seen(f"worker killed in {kind}: {state}; the original is in service and the copy was dropped")


@pytest.mark.fault(10)
def test_a_restore_during_a_backup_is_refused(filled: Target) -> None:
    first = request(filled, "backup")
    with pytest.raises(Refusal, match=f"run {first.pk}"):
        request(filled, RestoreTest.kind)


@contextmanager
def flipped_bit(path: Path, rng: random.Random) -> Iterator[None]:
    """Flip one random bit of a file during the block."""
    original = path.read_bytes()
    content = bytearray(original)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    yield
    path.write_bytes(original)


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
