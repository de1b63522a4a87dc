"""Test for a worker that is killed with SIGKILL while a restored server runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from deployctl.operations.framework.base import BackupArtefact
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_restore_test import PhysicalRestoreTest
from deployctl.operations.physical import scratch_folder
from deployctl.runs.execution import reaper
from tests.operations.physical.cluster import Cluster
from tests.waiting import until


def test_a_killed_workers_server_ends_and_its_files_are_removed(
    cluster: Cluster, full: BackupArtefact, job: Callable[..., FakeJob]
) -> None:
    mark = job(PhysicalRestoreTest)
    order = {
        "url": cluster.spec.url,
        "stanza": cluster.engine.stanza,
        "configuration": str(cluster.configuration),
        "scratch": str(cluster.scratch),
        "name": full.name,
        "details": dict(full.details),
        "run_id": mark.run_id,
    }
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.operations.physical.stuck"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    with worker:
        worker.stdin.write(json.dumps(order).encode())
        worker.stdin.close()
        assert worker.stdout.readline() == b"counting\n"
        servers = reaper.processes_of(mark.application_name)
        (place,) = cluster.scratch.iterdir()
        socket = (place / "socket").readlink()
        assert (socket / ".s.PGSQL.5432").exists()
        assert scratch_folder.sweep(cluster.scratch, "shop") == [], "somebody works in it"

        os.kill(worker.pid, 9)
        worker.wait()

    assert servers
    until(lambda: not reaper.processes_of(mark.application_name))
    assert cluster.scratch_folders() == [place.name]
    assert scratch_folder.sweep(cluster.scratch, "shop") == [place.name]
    assert cluster.scratch_folders() == []
    assert not socket.exists()
