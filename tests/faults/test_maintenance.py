"""Test that maintenance tasks are never queued behind runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from deployctl import celery
from deployctl.audit import Machine
from deployctl.cli._services import MAINTENANCE_THREADS, celery_worker
from deployctl.runs.models import Run, RunState, Target
from tests.conftest import Committed
from tests.faults.conftest import expire_lease, has_logged
from tests.waiting import until

StartWorker = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def maintenance_worker(committed_db: Committed) -> Iterator[None]:
    """A running maintenance worker, started with the arguments of `deployctl up`."""
    argv = celery_worker("maintenance", queue="maintenance", pool="threads", concurrency=MAINTENANCE_THREADS)
    with subprocess.Popen(argv, env=committed_db.environment) as worker:
        yield
        worker.kill()


@pytest.mark.parametrize("task", [entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()])
def test_periodic_tasks_are_routed_to_a_queue_of_their_own(task: str) -> None:
    for app in (celery.app, celery.beat):
        assert app.amqp.router.route({}, task)["queue"].name == "maintenance"


def test_runs_are_routed_to_the_runs_queue() -> None:
    assert celery.app.amqp.router.route({}, "deployctl.runs.tasks.execute")["queue"].name == "runs"


@pytest.mark.usefixtures("maintenance_worker")
def test_lost_runs_and_messages_are_handled_while_all_run_slots_are_busy(
    shop: Target, add_target: Callable[..., Target], start_worker: StartWorker
) -> None:
    def request(target: Target, kind: str) -> Run:
        return Run.request(target=target, kind=kind, params={}, by=Machine("test"))

    start_worker()  # two slots
    busy = [request(shop, "sleep"), request(add_target("second"), "sleep")]
    for run in busy:
        until(has_logged(run, "asleep"))
    lost = request(add_target("third"), "sleep")
    assert lost.claim(host="a machine that burned", pid=1)
    expire_lease(lost)
    undelivered = request(shop, "look")
    long_ago = "2026-01-01T00:00:00Z"
    Run.objects.filter(pk=undelivered.pk).update(requested_at=long_ago, published_at=long_ago)

    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        # Beat repeats its tasks. Here each is sent once, so it must not expire before the worker has started.
        celery.beat.send_task(entry["task"], **{**entry["options"], "expires": None})

    until(lambda: Run.objects.filter(pk=lost.pk, state=RunState.INTERRUPTED).exists())
    until(lambda: Run.objects.filter(pk=undelivered.pk, published_at__gt=long_ago).exists())
    states = set(Run.objects.filter(pk__in=[run.pk for run in busy]).values_list("state", flat=True))
    assert states == {RunState.RUNNING}
    for run in busy:
        run.cancel(by=Machine("test"))
