"""Test a broker that loses or redelivers messages, restarts or is down."""

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
from tests.checklists import factories
from tests.conftest import Committed
from tests.faults.conftest import audit_actions, effect_count, has_ended
from tests.faults.installation import BrowserSession, Installation, LogReader
from tests.faults.test_workers import Seen, StartWorker, request
from tests.people import person
from tests.waiting import until
from tests.web.server import Stream

# Request a run in a process that is killed between commit and publish.
REQUEST_AND_CRASH = """
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
UNREACHABLE = "redis://127.0.0.1:1/0"


@pytest.mark.fault(4)
def test_an_unpublished_run_is_dispatched_once(
    shop: Target, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(queue, "enqueue", lambda _run_id: False)
        run = request(shop, "change")
    start_worker()
    Run.objects.filter(pk=run.pk).update(requested_at="2026-01-01T00:00:00Z")

    assert dispatcher.dispatch() == 1
    until(has_ended(run))
    assert effect_count(shop) == 2


@pytest.mark.slow(25)
@pytest.mark.fault(4)
def test_a_run_unpublished_by_a_crash_is_dispatched_within_ten_seconds(
    shop: Target, installation: Installation, committed_db: Committed, seen: Seen
) -> None:
    installation.worker()
    installation.maintenance_worker()
    installation.beat()
    until(has_ended(request(shop, "look")), seconds=30)

    crashed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REQUEST_AND_CRASH)], env=committed_db.environment, check=False
    )
    run = Run.objects.get(kind="change")
    assert crashed.returncode == -signal.SIGKILL
    assert (run.state, run.published_at) == (RunState.QUEUED, None)
    until(lambda: Run.objects.filter(pk=run.pk, published_at__isnull=False).exists(), seconds=15)

    until(has_ended(run))
    run.refresh_from_db()
    assert run.published_at is not None
    took = (run.published_at - run.requested_at).total_seconds()
    assert took < 10
    assert (run.state, effect_count(shop)) == (RunState.SUCCEEDED, 2)
    assert len(installation.deliveries(run.pk)) == 1
    seen(f"dispatched after {took:.1f} s, executed once")


@pytest.mark.fault(5)
def test_a_flushed_broker_neither_loses_nor_duplicates_runs(
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
    assert effect_count(shop) == 2
    seen("6 runs dispatched again and succeeded; the run that writes 2 rows wrote them once")


@pytest.mark.fault(8)
def test_a_message_sent_twenty_times_is_executed_once(
    shop: Target, start_worker: StartWorker, installation: Installation, seen: Seen
) -> None:
    run = request(shop, "change", seconds=1)
    assert all(queue.enqueue(run.pk) for _ in range(20))
    start_worker()

    until(has_ended(run))
    last = request(shop, "look")
    until(has_ended(last))
    assert effect_count(shop) == 2
    assert run.steps.count() == 2
    # The other process may still be handling an earlier message.
    until(lambda: len(installation.deliveries(run.pk)) >= 21)
    delivered = len(installation.deliveries(run.pk))
    assert delivered == 21
    seen(f"{delivered} copies delivered, 1 execution")


@pytest.mark.slow(8)
@pytest.mark.fault(8)
def test_a_message_redelivered_during_its_run_is_executed_once(
    shop: Target, installation: Installation, seen: Seen
) -> None:
    redeliver_soon = {"visibility_timeout": 1, "unacked_restore_interval": 0.5, "unacked_restore_throttle": 1}
    for _ in range(2):
        installation.worker(**redeliver_soon)
    run = request(shop, "change", seconds=3)

    until(has_ended(run))

    workers = installation.deliveries(run.pk)
    assert len(workers) > 1, "the message was not redelivered"
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    assert (effect_count(shop), run.steps.count()) == (2, 2)
    assert audit_actions(run).count("run.started") == 1
    seen(f"delivered {len(workers)} times during the run, 1 execution")


@pytest.mark.slow(20)
@pytest.mark.fault(6)
@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_run_survives_a_broker_restart(
    shop: Target,
    isolated: Installation,
    broker: RedisServer,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
    how: str,
) -> None:
    browser_session = BrowserSession(isolated.web(), signed_in(dba))
    isolated.worker()
    assert browser_session.submit("/targets/shop/runs", kind="count", numbers="60").status_code == 303
    run = Run.objects.get()
    with LogReader(browser_session, run) as reader:
        until(lambda: len(reader.texts) > 10, seconds=30)
        if how == "killed":
            os.kill(broker.pid, signal.SIGKILL)
        broker.stop()
        time.sleep(1.5)
        broker.start()
        lines_before = len(reader.texts)
        until(has_ended(run), seconds=30)

    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.summary
    assert effect_count(shop) == 1
    assert reader.numbers == list(range(1, 61)), "lines are missing, duplicated or out of order"
    assert reader.end == RunState.SUCCEEDED
    assert audit_actions(run).count("run.started") == 1
    assert browser_session.submit("/targets/shop/runs", kind="look").status_code == 303
    following = Run.objects.get(kind="look")
    waited = until(has_ended(following), seconds=45)
    seen(
        f"{how}: executed once and succeeded, lines 1 to 60 in the live log ({lines_before} before the "
        f"broker was back), the next run finished {waited:.1f} s later"
    )


@pytest.mark.fault(7)
def test_without_a_broker_pages_work_and_runs_are_queued(
    shop: Target,
    dba: User,
    signed_in: Callable[..., Client],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.REDIS_URL = UNREACHABLE
    monkeypatch.setitem(app.conf, "broker_url", UNREACHABLE)
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
def test_runs_and_pages_survive_five_minutes_without_a_broker(
    shop: Target,
    isolated: Installation,
    broker: RedisServer,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
) -> None:
    isolated.worker()
    isolated.maintenance_worker()
    isolated.beat()
    browser_session = BrowserSession(isolated.web(), signed_in(dba))
    planned = plan(dba)
    item = factories.item(planned, "Anybody checks this")
    broker.stop()
    down_since = time.monotonic()

    answer = browser_session.submit("/targets/shop/runs", kind="change")
    submit_s = time.monotonic() - down_since
    assert answer.status_code == 303
    run = Run.objects.get()
    assert ACCEPTED in browser_session.fetch(answer.headers["Location"]).text
    assert browser_session.submit(f"/items/{item.pk}/completion").status_code < 400
    page_times: list[float] = []
    while time.monotonic() - down_since < 5 * 60:
        for address in [*PAGES, f"/runs/{run.pk}/", f"/deployments/{planned.pk}/"]:
            requested = time.monotonic()
            assert browser_session.fetch(address).status_code == 200, address
            page_times.append(time.monotonic() - requested)
        with Stream(browser_session.port, f"/runs/{run.pk}/stream", browser_session.cookie) as stream:
            assert stream.response.status == 200
        with Stream(browser_session.port, "/live/?channel=home", browser_session.cookie) as stream:
            assert stream.next("resync")
        time.sleep(5)
    down_s = time.monotonic() - down_since
    assert max(page_times) < 5
    run.refresh_from_db()
    assert (run.state, run.published_at) == (RunState.QUEUED, None)

    broker.start()
    recovery_s = until(has_ended(run), seconds=90)
    assert effect_count(shop) == 2
    assert audit_actions(run).count("run.started") == 1
    seen(
        f"{len(page_times)} pages returned 200 in {down_s:.0f} s without a broker, the slowest in "
        f"{max(page_times):.1f} s; a run was queued in {submit_s:.1f} s and executed once, "
        f"{recovery_s:.0f} s after the broker was back"
    )


def plan(dba: User) -> Deployment:
    others = [person("Dev Opsworth", Permission.APPROVER), person("Quinn Adler", Permission.APPROVER)]
    return factories.plan(
        factories.a_target("planned"), factories.published(), factories.team_of(dba, *others)
    )
