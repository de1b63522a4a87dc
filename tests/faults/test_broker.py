"""A broker that loses messages, gives them twice, restarts, or is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from checklists.models import Deployment
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.celery import app
from deployctl.embedded.redis import RedisServer
from deployctl.runs import queue
from deployctl.runs.execution import dispatcher
from deployctl.runs.models import Run, RunState, Target
from deployctl.web import live
from tests.checklists import deployments
from tests.conftest import Committed
from tests.faults.conftest import changes_of, effects, has_ended
from tests.faults.installation import Installation, Visitor, Watcher
from tests.faults.test_workers import Seen, StartWorker, request
from tests.people import person
from tests.waiting import until
from tests.web.server import Stream

# What an operator's request does, in a process that is killed at the worst moment.
KILLED = """
    import os, signal
    import django
    django.setup()
    from deployctl.audit import Machine
    from deployctl.runs import queue
    from deployctl.runs.models import Run, Target
    from tests.runs import operations

    operations.install()
    queue.enqueue = lambda run_id: os.kill(os.getpid(), signal.SIGKILL)
    Run.request(target=Target.objects.get(), kind="change", params={}, by=Machine("test"))
"""
PAGES = ["/", "/targets/", "/targets/shop/", "/runs/", "/backups/", "/deployments/", "/history/", "/account/"]
ACCEPTED = "Queued. No worker is reachable; retrying every 5 s."
NOBODY = "redis://127.0.0.1:1/0"


@pytest.mark.fault(4)
def test_a_message_that_was_never_sent_is_sent_later_and_once(
    shop: Target, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as died:
        died.setattr(queue, "enqueue", lambda _run_id: False)
        run = request(shop, "change")
    start_worker()
    Run.objects.filter(pk=run.pk).update(requested_at="2026-01-01T00:00:00Z")

    assert dispatcher.dispatch() == 1
    until(has_ended(run))
    assert effects(shop) == 2


@pytest.mark.slow(25)
@pytest.mark.fault(4)
def test_what_a_killed_process_did_not_publish_is_dispatched_within_ten_seconds(
    shop: Target, installation: Installation, committed_db: Committed, seen: Seen
) -> None:
    installation.worker()
    installation.upkeep()
    installation.beat()
    until(has_ended(request(shop, "look")), seconds=30)

    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED)], env=committed_db.environment, check=False
    )
    run = Run.objects.get(kind="change")
    assert died.returncode == -signal.SIGKILL
    assert (run.state, run.published_at) == (RunState.QUEUED, None)
    until(lambda: Run.objects.filter(pk=run.pk, published_at__isnull=False).exists(), seconds=15)

    until(has_ended(run))
    run.refresh_from_db()
    assert run.published_at is not None
    took = (run.published_at - run.requested_at).total_seconds()
    assert took < 10
    assert (run.state, effects(shop)) == (RunState.SUCCEEDED, 2)
    assert len(installation.deliveries(run.pk)) == 1
    seen(f"dispatched after {took:.1f} s by real time, ran once")


@pytest.mark.fault(5)
def test_a_flushed_broker_loses_no_run_and_doubles_none(
    shop: Target, start_worker: StartWorker, redis_url: str, seen: Seen
) -> None:
    change, *looks = [request(shop, "change"), *(request(shop, "look") for _ in range(5))]
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    long_ago = "2026-01-01T00:00:00Z"
    Run.objects.update(requested_at=long_ago, published_at=long_ago)
    assert dispatcher.dispatch() == 6

    start_worker()
    for run in (change, *looks):
        until(has_ended(run))
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.SUCCEEDED}
    assert effects(shop) == 2
    seen("6 runs dispatched again and succeeded, the change among them left its 2 rows once")


@pytest.mark.fault(8)
def test_one_message_twenty_times_is_executed_once(
    shop: Target, start_worker: StartWorker, installation: Installation, seen: Seen
) -> None:
    run = request(shop, "change", seconds=1)
    assert all(queue.enqueue(run.pk) for _ in range(20))
    start_worker()

    until(has_ended(run))
    last = request(shop, "look")
    until(has_ended(last))
    assert effects(shop) == 2
    assert run.steps.count() == 2
    # The other process may still be at the one before the last.
    until(lambda: len(installation.deliveries(run.pk)) >= 21)
    delivered = len(installation.deliveries(run.pk))
    assert delivered == 21
    seen(f"{delivered} copies delivered, 1 execution")


@pytest.mark.slow(8)
@pytest.mark.fault(8)
def test_a_message_given_out_again_during_its_run_is_executed_once(
    shop: Target, installation: Installation, seen: Seen
) -> None:
    often = {"visibility_timeout": 1, "unacked_restore_interval": 0.5, "unacked_restore_throttle": 1}
    for _ in range(2):
        installation.worker(**often)
    run = request(shop, "change", seconds=3)

    until(has_ended(run))

    workers = installation.deliveries(run.pk)
    assert len(workers) > 1, "it was not given out again"
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    assert (effects(shop), run.steps.count()) == (2, 2)
    assert changes_of(run).count("run.started") == 1
    seen(f"delivered {len(workers)} times while it ran, 1 execution")


@pytest.mark.slow(20)
@pytest.mark.fault(6)
@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_broker_that_comes_back_during_a_run_costs_it_nothing(
    shop: Target,
    apart: Installation,
    broker: RedisServer,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
    how: str,
) -> None:
    visitor = Visitor(apart.web(), signed_in(dba))
    apart.worker()
    assert visitor.press("/targets/shop/runs", kind="count", numbers="60").status_code == 303
    run = Run.objects.get()
    with Watcher(visitor, run) as watcher:
        until(lambda: len(watcher.texts) > 10, seconds=30)
        if how == "killed":
            os.kill(broker.pid, signal.SIGKILL)
        broker.stop()
        time.sleep(1.5)
        broker.start()
        away_at = len(watcher.texts)
        until(has_ended(run), seconds=30)

    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.summary
    assert effects(shop) == 1
    assert watcher.numbers == list(range(1, 61)), "lines are missing, doubled or out of order"
    assert watcher.end == RunState.SUCCEEDED
    assert changes_of(run).count("run.started") == 1
    assert visitor.press("/targets/shop/runs", kind="look").status_code == 303
    following = Run.objects.get(kind="look")
    waited = until(has_ended(following), seconds=45)
    seen(
        f"{how}: succeeded with 1 effect, lines 1 to 60 in the live log ({away_at} before the broker was "
        f"back), the next run taken {waited:.1f} s later"
    )


@pytest.mark.fault(7)
def test_without_a_broker_pages_work_and_a_press_is_queued_and_says_so(
    shop: Target,
    dba: User,
    signed_in: Callable[..., Client],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.REDIS_URL = NOBODY
    monkeypatch.setitem(app.conf, "broker_url", NOBODY)
    monkeypatch.setattr(live, "_paused_until", 0.0)
    live.broker.cache_clear()
    browser = signed_in(dba)
    try:
        answer = browser.post("/targets/shop/runs", {"kind": "look"})
        assert answer.status_code == 303
        assert ACCEPTED in browser.get(answer["Location"]).text
        assert {browser.get(address).status_code for address in PAGES} == {200}
    finally:
        live.broker.cache_clear()


@pytest.mark.slow(380)
@pytest.mark.timeout(540)
@pytest.mark.fault(7)
def test_five_minutes_without_a_broker_cost_nothing(
    shop: Target,
    apart: Installation,
    broker: RedisServer,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
) -> None:
    apart.worker()
    apart.upkeep()
    apart.beat()
    visitor = Visitor(apart.web(), signed_in(dba))
    planned = plan(dba)
    item = deployments.item(planned, "Anybody checks this")
    broker.stop()
    down_since = time.monotonic()

    answer = visitor.press("/targets/shop/runs", kind="change")
    pressed = time.monotonic() - down_since
    assert answer.status_code == 303
    run = Run.objects.get()
    assert ACCEPTED in visitor.see(answer.headers["Location"]).text
    assert visitor.press(f"/items/{item.pk}/completion").status_code < 400
    took: list[float] = []
    while time.monotonic() - down_since < 5 * 60:
        for address in [*PAGES, f"/runs/{run.pk}/", f"/deployments/{planned.pk}/"]:
            asked = time.monotonic()
            assert visitor.see(address).status_code == 200, address
            took.append(time.monotonic() - asked)
        with Stream(visitor.port, f"/runs/{run.pk}/stream", visitor.cookie) as stream:
            assert stream.response.status == 200
        with Stream(visitor.port, "/live/?channel=home", visitor.cookie) as stream:
            assert stream.next("resync")
        time.sleep(5)
    down = time.monotonic() - down_since
    assert max(took) < 5
    run.refresh_from_db()
    assert (run.state, run.published_at) == (RunState.QUEUED, None)

    broker.start()
    back = until(has_ended(run), seconds=90)
    assert effects(shop) == 2
    assert changes_of(run).count("run.started") == 1
    seen(
        f"{len(took)} pages answered 200 in {down:.0f} s without a broker, the slowest in {max(took):.1f} s; "
        f"a press was accepted in {pressed:.1f} s; {back:.0f} s after the broker was back it had run, once"
    )


def plan(dba: User) -> Deployment:
    others = [person("Dev Opsworth", Permission.APPROVER), person("Quinn Adler", Permission.APPROVER)]
    return deployments.plan(
        deployments.a_target("planned"), deployments.published(), deployments.team_of(dba, *others)
    )
