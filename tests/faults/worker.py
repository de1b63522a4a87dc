"""A real Celery worker that also knows the tests' operations: `python -m tests.faults.worker NAME`.

`TEST_DELIVERIES` names a file to which every delivery of a message adds a line, whether or not it leads to
an execution; `TEST_TRANSPORT` holds options for the broker's transport, as JSON.
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
    task_prerun.connect(_note_delivery)
    options = ["--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    app.worker_main(["worker", "--hostname", f"{name}@%h", "--loglevel", "WARNING", *options])


def _note_delivery(args: Any, **_: object) -> None:
    if path := os.environ.get("TEST_DELIVERIES"):
        with open(path, "a", encoding="ascii") as file:  # noqa: PTH123 (one write to the end is atomic)
            file.write(f"{args[0]} {os.getppid()}\n")


if __name__ == "__main__":
    main(sys.argv[1])
