"""Test for a server restart during a migration, whose result is unknown until the status is read."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployctl.embedded.postgres import PostgresServer
from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.kinds.migrate import Migrate
from deployctl.operations.kinds.migration_status import MigrationStatus
from tests.operations.projects import is_running, job_for, prisma_project, rows
from tests.waiting import until

MIGRATIONS = {
    "1_one": "CREATE TABLE one (id int);",
    "2_two": "CREATE TABLE two (id int); SELECT pg_sleep(600);",
    "3_three": "SELECT 1;",
}


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """Run a server that the test can restart."""
    folder = Path(tempfile.mkdtemp(prefix="deployctl-test-restart-"))
    folder.chmod(0o755)
    try:
        # The test is about the restart, not about durability.
        with PostgresServer(folder / "postgres", settings={"fsync": "off"}) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.fault(11)
def test_a_server_restart_leaves_the_migrations_result_unknown(
    tmp_path: Path, server: PostgresServer, seen: Callable[[str], None]
) -> None:
    url = server.url()
    project = prisma_project(tmp_path, MIGRATIONS)

    def stop_when_it_runs() -> None:
        try:
            until(lambda: is_running(url, "pg_sleep(600)"))
        finally:
            server.stop()

    stopper = threading.Thread(target=stop_when_it_runs)
    stopper.start()
    with pytest.raises(OperationFailed) as caught:
        Migrate().perform(job_for(project, url))
    stopper.join()
    server.start()  # not in the other thread, because the server ends with the thread that started it

    sentence = str(caught.value)
    assert "The connection was lost while the migration 2_two ran" in sentence
    assert "may or may not have been applied" in sentence
    assert "rolled back" not in sentence
    assert "undone" not in sentence
    assert "This run applied these migrations before, and they remain applied: 1_one." in sentence

    with pytest.raises(OperationFailed, match=r"The migration 2_two failed at .* and has not been resolved"):
        MigrationStatus().perform(job_for(project, url))
    with pytest.raises(OperationFailed, match=r"Nothing was applied\. The migration 2_two failed"):
        Migrate().perform(job_for(project, url))
    assert rows(url, "SELECT to_regclass('one') IS NULL, to_regclass('two')") == [(False, None)]
    seen("“it may or may not have been applied”; status afterwards: failed, not resolved")
