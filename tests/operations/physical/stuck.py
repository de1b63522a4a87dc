"""Run a test restore that blocks while it counts, to be killed: `python -m tests.operations.physical.stuck`.

Reads its parameters as JSON from standard input, and writes a line when the restored server runs.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path

from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.physical_restore_test import PhysicalRestoreTest
from deployctl.operations.physical.engine import Engine
from deployctl.postgres.connection import parse_url
from tests.operations.physical.cluster import Record


class Stuck(FakeJob):
    """A job that blocks at the first table."""

    def advance(self, done: int, total: int | None, *, unit: str, phase: str = "") -> None:
        if phase == "count":
            sys.stdout.write("counting\n")
            sys.stdout.flush()
            time.sleep(600)


def main() -> None:
    params = json.load(sys.stdin)
    kept = KeptBackup(params["name"], dt.datetime.now(dt.UTC), "written", 0, "", params["details"])
    job = Stuck(
        parse_url(params["url"]),
        params=PhysicalRestoreTest.Params(until="immediate"),
        physical=Engine(params["stanza"], Path(params["configuration"]), Path(params["scratch"])),
        backup_catalog=Record([kept]),
        run_id=params["run_id"],
    )
    PhysicalRestoreTest().perform(job)


if __name__ == "__main__":
    main()
