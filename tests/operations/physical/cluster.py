"""A cluster with pgBackRest for tests, with its own stanza, configuration and repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

from deployctl.embedded.binaries import find_postgres
from deployctl.embedded.errors import BinariesMissing
from deployctl.embedded.os_account import Account, choose_account
from deployctl.embedded.postgres import PostgresServer
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.physical.engine import Engine
from deployctl.postgres.connection import ConnectionSpec, parse_url
from tests.places import in_memory
from tests.waiting import until

STANZA = "shop"
# pgBackRest version → the newest supported server (release notes).
NEWEST_SERVER = {(2, 59): 19, (2, 57): 18, (2, 52): 17, (2, 48): 16, (2, 41): 15}
# The size of the cluster, the repository and a restored copy.
ROOM_BYTES = 600 << 20

CONFIGURATION = """
[global]
repo1-path={folder}/repository
repo1-bundle=y
repo1-retention-full=9
lock-path={folder}/lock
spool-path={folder}/spool
log-level-file=off
start-fast=y
archive-timeout=90
compress-type=lz4
job-retry=0

[{stanza}]
pg1-path={cluster}
pg1-port={port}
pg1-socket-path={folder}/socket
pg1-user=postgres
"""


@dataclass
class Record:
    """The part of `framework.base.BackupCatalog` that physical operations use."""

    kept: list[KeptBackup] = field(default_factory=list)
    gone: dict[str, str] = field(default_factory=dict)

    def physical(self) -> tuple[KeptBackup, ...]:
        return tuple(one for one in self.kept if one.name not in self.gone)

    def backups(self) -> tuple[KeptBackup, ...]:
        return ()

    def expire(self, backup: KeptBackup, reason: str) -> None:
        self.gone[backup.name] = reason


@dataclass(frozen=True)
class Cluster:
    """A running server that archives into a repository of its own."""

    folder: Path
    server: PostgresServer
    account: Account
    program: str

    @property
    def configuration(self) -> Path:
        return self.folder / "pgbackrest.conf"

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def hold(self) -> Path:
        """Return the path of a file that blocks archiving while it exists."""
        return self.folder / "hold"

    @property
    def engine(self) -> Engine:
        return Engine(STANZA, self.configuration, self.scratch)

    @property
    def spec(self) -> ConnectionSpec:
        return parse_url(self.server.url("shop"))

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements in the target's database, and return the rows of the last one."""
        rows: list[tuple[object, ...]] = []
        with psycopg.connect(self.server.url("shop"), autocommit=True) as session:
            for statement in statements:
                cursor = session.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def pgbackrest(self, *arguments: str, stanza: str = STANZA) -> str:
        """Run pgBackRest directly, as cron would."""
        result = self.account.run(
            [self.program, f"--config={self.configuration}", f"--stanza={stanza}", *arguments], timeout=100
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def archive(self) -> None:
        """Switch to a new WAL segment, and wait until the old one is archived."""
        ((segment,),) = self.execute("SELECT pg_walfile_name(pg_switch_wal())")
        archived = self.repository / "archive" / STANZA
        until(lambda: list(archived.glob(f"*/*/{segment}-*.lz4")))

    def scratch_folders(self) -> list[str]:
        """Return the names of the scratch folders."""
        return sorted(path.name for path in self.scratch.iterdir())


@contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster with a table, create its stanza, and remove everything afterwards."""
    program = shutil.which("pgbackrest")
    if program is None:
        not_here("pgBackRest is not installed (.make/find-pgbackrest says how)")
    folder = _folder()
    account = choose_account()
    for name in ("repository", "lock", "socket", "spool", "scratch"):
        (folder / name).mkdir()
        account.own(folder / name)
    (folder / "scratch").chmod(0o755)
    command = (
        f"while [ -e {folder}/hold ]; do sleep 0.1; done;"
        f" {program} --config={folder}/pgbackrest.conf --stanza={STANZA} archive-push %p"
    )
    server = PostgresServer(
        folder / "postgres",
        version=_server_for(program),
        settings={
            "archive_mode": "on",
            "archive_command": command,
            "unix_socket_directories": f"{folder}/socket",
            "fsync": "off",
            # The background writer could overwrite pages that a test has damaged on disk.
            "autovacuum": "off",
            "min_wal_size": "32MB",
            "max_wal_size": "64MB",
        },
    )
    try:
        server.prepare()
        cluster = Cluster(folder, server, account, program)
        cluster.configuration.write_text(
            CONFIGURATION.format(folder=folder, stanza=STANZA, cluster=server.cluster, port=server.port)
        )
        cluster.configuration.chmod(0o640)
        account.own(cluster.configuration)
        hba = server.cluster / "pg_hba.conf"
        # pgBackRest connects over the socket, with the server's account.
        hba.write_text(f"local all postgres trust\n{hba.read_text()}")
        server.start()
        server.ensure_database("shop", owner="shopkeeper", password="of the shop")
        cluster.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, note text)",
            "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 500) AS n",
        )
        cluster.pgbackrest("stanza-create")
        yield cluster
    finally:
        server.discard()
        shutil.rmtree(folder, ignore_errors=True)


def not_here(reason: str) -> NoReturn:
    """Skip the tests if a program is missing; fail where CI should have installed it."""
    if os.geteuid() == 0 or os.environ.get("CI"):
        pytest.fail(f"{reason}, but `make test` installs it here.")
    pytest.skip(f"{reason}: physical backups could not be tested.")


def _server_for(program: str) -> int:
    output = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", output)
    assert found, output
    version = int(found[1]), int(found[2])
    newest = next((major for since, major in NEWEST_SERVER.items() if version >= since), 14)
    for major in range(newest, 13, -1):
        try:
            return find_postgres(major).major
        except BinariesMissing:
            continue
    not_here(f"No PostgreSQL server that pgBackRest {found[0]} knows ({newest} or older) is installed")


def _folder() -> Path:
    # In memory if there is space, because pgBackRest spends most of its time on fsync.
    folder = Path(tempfile.mkdtemp(prefix="deployctl-physical-", dir=in_memory(ROOM_BYTES)))
    folder.chmod(0o755)
    return folder
