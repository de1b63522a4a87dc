"""The Celery application: workers that execute runs, and the beat that looks after them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from celery import Celery
from celery.signals import beat_init, worker_process_init

from deployctl.embedded.tether import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "deployctl.settings")

app = Celery("deployctl")
app.config_from_object("django.conf:settings", namespace="CELERY")
# On QUIT, running tasks get this long before they are cut short; what a run was doing is then settled by its
# row.
app.conf.worker_soft_shutdown_timeout = 4.0
app.autodiscover_tasks()

BEAT_FILE = "beat.pid"


@worker_process_init.connect
def _end_with_the_worker(**_: object) -> None:
    """Without this, killing the worker's main process leaves busy pool processes behind until they finish."""
    end_with_parent(signal.SIGKILL)


@beat_init.connect
def _say_that_beat_beats(**_: object) -> None:
    """Leave the process id for whoever waits for beat, which answers no questions."""
    from django.conf import settings

    folder = Path(settings.DEPLOYCTL_DATA) / "run"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / BEAT_FILE).write_text(f"{os.getpid()}\n", encoding="ascii")
