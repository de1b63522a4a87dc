"""The way of that database through backup, proof, restore and back, by the product's own operations."""

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
from tests.roundtrip import database, portrait
from tests.roundtrip.portrait import Portrait

LIMIT_S = 3600


@dataclass
class Journey:
    """One database that was filled.

    Args:
        spec: as its owner, who may create databases and nothing else.
        folder: backups go below it.
        say: told how long each step took.
    """

    spec: ConnectionSpec
    folder: Path
    say: Callable[[str], None] = lambda _line: None
    kept: list[KeptBackup] = field(default_factory=list)
    size_bytes: int = 0
    dump_bytes: int = 0

    def go(self) -> Portrait:
        """All of it.

        Returns:
            What the database was and is again.

        Raises:
            AssertionError: something is not as it was, with what differs; or any error of an operation.
        """
        owned = databases_of(self.spec)
        before = self.there_and_back(prove=True)
        # Back to the backup that was taken just before the deployment.
        fresh = self.back_up("backup before the deployment")
        database.disturb(self.spec)
        disturbed = portrait.take(self.spec)
        assert before.differences(disturbed), "the deployment changed nothing"
        kept = str(self.perform("rollback", Rollback, backup=fresh).facts["kept"])
        self.expect(before, "after the rollback")
        aside = portrait.take(self.spec.with_database(kept))
        assert disturbed.contents == aside.contents, "what was put aside is not what served"
        self.perform("drop_kept_database", DropKeptDatabase)
        assert databases_of(self.spec) == owned, "a database was left behind"
        return before

    def there_and_back(self, *, prove: bool = False) -> Portrait:
        """Back up, verify, damage, restore.

        Args:
            prove: test the restore beforehand.
        """
        with self.timed("take the portrait"):
            before = portrait.take(self.spec)
        with connect(self.spec, application_name="roundtrip") as session:
            self.size_bytes = server.database_size(session)
        first = self.back_up("backup")
        self.perform("verify", Verify)
        if prove:
            assert self.perform("test_restore", RestoreTest).facts["content_compared"] is True
            self.expect(before, "after the test restore")
        database.disturb(self.spec)
        self.perform("restore", Restore, backup=first)
        self.expect(before, "after the restore")
        self.perform("drop_kept_database", DropKeptDatabase)
        return before

    def expect(self, before: Portrait, when: str) -> None:
        """The database is what it was."""
        with self.timed(f"compare {when}"):
            found = before.differences(portrait.take(self.spec))
        assert not found, f"{when}, {len(found)} differences:\n" + "\n".join(found[:40])

    def back_up(self, name: str) -> str:
        """Back it up; returns the backup's name."""
        artefact = self.perform(name, Backup).artefact
        assert artefact is not None
        self.dump_bytes = artefact.size_bytes
        self.kept.append(on_record(artefact))
        return artefact.name

    def perform(self, name: str, kind: type[Operation], **params: Any) -> Outcome:
        """Let an operation do its work, and tell how long it took."""
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
        """Tell how long something took."""
        started = time.monotonic()
        yield
        self.say(f"{name:30} {time.monotonic() - started:8.1f} s")
