"""The Celery applications for workers and for beat."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_init, worker_process_init, worker_ready

from deployctl.embedded.parent_death import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")

SETTINGS, PREFIX = "django.conf:settings", "CELERY"

app = Celery("deployctl")
app.config_from_object(SETTINGS, namespace=PREFIX)
# On QUIT, running tasks get this many seconds before they are interrupted. The row of a run then records its
# outcome.
app.conf.worker_soft_shutdown_timeout = 4.0
app.autodiscover_tasks()

# Beat sends only the names of tasks. Without the Django fixup it loads no apps and models, which cuts its
# start time and its memory to a third.
beat = Celery("deployctl", fixups=[], set_as_current=False)
beat.config_from_object(SETTINGS, namespace=PREFIX)


@worker_process_init.connect
def _end_with_the_worker(**_: object) -> None:
    """End a pool process with the worker's main process, even if it is busy."""
    end_with_parent(signal.SIGKILL)


@worker_ready.connect
def _report_worker_ready(sender: Any, **_: object) -> None:
    _write_ready_file(sender.hostname.partition("@")[0])  # from --hostname worker@%h or maintenance@%h


@beat_init.connect
def _report_beat_ready(**_: object) -> None:
    _write_ready_file("beat")


def _write_ready_file(name: str) -> None:
    """Write the file by which `deployctl up` knows that this process is ready."""
    from django.conf import settings

    folder = Path(settings.DEPLOYCTL_DATA) / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{name}.ready").write_text(f"{os.getpid()}\n", encoding="ascii")
