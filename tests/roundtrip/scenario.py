"""Back up, verify, damage, restore and roll back a database with the product's operations."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Operation, Outcome
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.backup import Backup
from deployctl.operations.kinds.drop_kept_database import DropKeptDatabase
from deployctl.operations.kinds.restore import Restore
from deployctl.operations.kinds.rollback import Rollback
from deployctl.operations.kinds.test_restore import RestoreTest
from deployctl.operations.kinds.verify import Verify
from deployctl.postgres.connection import ConnectionSpec, connect
from deployctl.postgres.queries import server
from tests.operations.restores import Record, databases_of, on_record
from tests.roundtrip import database, snapshot
from tests.roundtrip.snapshot import Snapshot

LIMIT_S = 3600


@dataclass
class Scenario:
    """The operations on one filled database.

    Args:
        spec: connection of the owner, whose only privilege is to create databases.
        folder: for the backups.
        say: called with a line about the duration of each step.
    """

    spec: ConnectionSpec
    folder: Path
    say: Callable[[str], None] = lambda _line: None
    kept: list[KeptBackup] = field(default_factory=list)
    size_bytes: int = 0
    dump_bytes: int = 0

    def run(self) -> Snapshot:
        """Run all steps.

        Returns:
            The snapshot of the database, which is the same before and after.

        Raises:
            AssertionError: something differs after a restore or rollback; the message lists the differences.
        """
        owned = databases_of(self.spec)
        before = self.back_up_and_restore(prove=True)
        # Roll back to a backup that was taken just before the deployment.
        latest = self.back_up("backup before the deployment")
        database.damage(self.spec)
        damaged = snapshot.take(self.spec)
        assert before.differences(damaged), "the deployment changed nothing"
        kept = str(self.perform("rollback", Rollback, backup=latest).facts["kept"])
        self.expect(before, "after the rollback")
        kept_snapshot = snapshot.take(self.spec.with_database(kept))
        assert damaged.contents == kept_snapshot.contents, "the kept database differs from the damaged one"
        self.perform("drop_kept_database", DropKeptDatabase)
        assert databases_of(self.spec) == owned, "a database was left behind"
        return before

    def back_up_and_restore(self, *, prove: bool = False) -> Snapshot:
        """Back up, verify, damage and restore the database.

        Args:
            prove: whether to run a test restore first.
        """
        with self.timed("take snapshot"):
            before = snapshot.take(self.spec)
        with connect(self.spec, application_name="roundtrip") as session:
            self.size_bytes = server.database_size(session)
        first = self.back_up("backup")
        self.perform("verify", Verify)
        if prove:
            assert self.perform("test_restore", RestoreTest).facts["content_compared"] is True
            self.expect(before, "after the test restore")
        database.damage(self.spec)
        self.perform("restore", Restore, backup=first)
        self.expect(before, "after the restore")
        self.perform("drop_kept_database", DropKeptDatabase)
        return before

    def expect(self, before: Snapshot, when: str) -> None:
        """Raise AssertionError if the database differs from a snapshot."""
        with self.timed(f"compare {when}"):
            found = before.differences(snapshot.take(self.spec))
        assert not found, f"{when}, {len(found)} differences:\n" + "\n".join(found[:40])

    def back_up(self, name: str) -> str:
        """Back up the database and return the name of the backup."""
        artefact = self.perform(name, Backup).artefact
        assert artefact is not None
        self.dump_bytes = artefact.size_bytes
        self.kept.append(on_record(artefact))
        return artefact.name

    def perform(self, name: str, kind: type[Operation], **params: Any) -> Outcome:
        """Run an operation and report its duration."""
        job = FakeJob(
            self.spec,
            params=kind.parse_params(params),
            tmp_path=self.folder,
            backup_catalog=Record(self.kept),
            time_limit_s=LIMIT_S,
        )
        with self.timed(name):
            try:
                return kind().perform(job)
            finally:
                job.close()

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Report the duration of the block."""
        started = time.monotonic()
        yield
        self.say(f"{name:30} {time.monotonic() - started:8.1f} s")
