"""A real Celery worker with the operations of the tests: `python -m tests.faults.worker NAME`.

Every delivery of a message adds a line to the file in `TEST_DELIVERIES`, whether or not it leads to an
execution. `TEST_TRANSPORT` contains options for the broker's transport as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(name: str) -> None:
    from celery.signals import task_prerun

    from deployctl.celery import app  # sets Django up

    app.loader.import_default_modules()
    from tests.runs import operations

    operations.install()
    transport = json.loads(os.environ.get("TEST_TRANSPORT", "{}"))
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **transport}
    task_prerun.connect(_record_delivery)
    options = ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    app.worker_main(["worker", "--hostname", f"{name}@%h", "--loglevel", "WARNING", *options])


def _record_delivery(args: Any, **_: object) -> None:
    if path := os.environ.get("TEST_DELIVERIES"):
        with open(path, "a", encoding="ascii") as file:  # noqa: PTH123 (a single append is atomic)
            file.write(f"{args[0]} {os.getppid()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
