"""Live updates with a real ASGI server, Redis and database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.audit import Machine
from deployctl.runs.execution.log import Line, LineStore, add_line
from deployctl.runs.models import Run, Target
from deployctl.web import live
from deployctl.web.live import announce
from tests.conftest import Committed
from tests.people import person
from tests.web.server import Stream, running

# Each test starts a server, which loads the whole product.
pytestmark = pytest.mark.timeout(300)

SYSTEM = Machine("test")
BUSY_AT_MOST_S = 60
# Idle database sessions of the server, without the session of this test.
IDLE = """
    SELECT pid, query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'deployctl' AND state = 'idle'
      AND state_change < now() - interval '0.3 s' AND pid <> %s
"""


@pytest.fixture
def server(committed_db: Committed, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    # An earlier test may have lost the broker; then nothing is published for a while.
    monkeypatch.setattr(live, "_paused_until", 0.0)
    # A slow broker must not count as lost.
    slow_broker = redis.Redis.from_url(settings.REDIS_URL)
    monkeypatch.setattr(live, "broker", lambda: slow_broker)
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    # Static files are not collected, because these tests do not check pages.
    with slow_broker, running(committed_db.environment | {"DEBUG": "1"}) as port:
        yield port


@pytest.fixture
def page_viewer(committed_db: Committed) -> User:
    return person("Vi Ewing", Permission.VIEWER)


@pytest.fixture
def cookie(page_viewer: User, signed_in: Callable[..., Client]) -> dict[str, str]:
    session = signed_in(page_viewer).cookies[settings.SESSION_COOKIE_NAME]
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session.value}"}


@pytest.fixture
def run(committed_db: Committed, secret_file: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)
    reference = secret_file("postgresql://nobody:word@127.0.0.1:1/nothing")
    target = Target.add(name="shop", environment="staging", connection_reference=reference, by=SYSTEM)
    run = Run.request(target=target, kind="connect", params={}, by=SYSTEM)
    run.claim(host="here", pid=1)
    return run


def open_page(port: int, cookie: dict[str, str], *channels: str, since: float | None = None) -> Stream:
    query = "&".join(f"channel={channel}" for channel in channels)
    return Stream(port, f"/live/?{query}&since={time.time() if since is None else since}", cookie)


def warm_up(port: int, cookie: dict[str, str]) -> None:
    """Open the first stream of the process, which starts its listener and gets a resync."""
    with open_page(port, cookie, "home") as stream:
        stream.next("resync")


def usually_within(seconds: float, act: Callable[[int], None], *, times: int) -> None:
    """Assert that most of several calls take less than a time.

    On a busy machine the whole series is repeated for a while. Slow code, such as polling every
    five seconds, stays slow in every series.

    Args:
        seconds: the time that a call may take.
        act: called with a new number each time.
        times: the number of calls in a series.
    """
    number, until = 0, time.monotonic() + BUSY_AT_MOST_S
    while True:
        took = []
        for _ in range(times):
            time.sleep(0.05)
            asked = time.monotonic()
            act(number)
            took.append(time.monotonic() - asked)
            number += 1
        if sorted(took)[times // 2] < seconds:
            return
        assert time.monotonic() < until, took


def test_a_change_reaches_an_open_page_within_200_ms(server: int, cookie: dict[str, str], run: Run) -> None:
    warm_up(server, cookie)
    with open_page(server, cookie, f"run:{run.pk}", "home") as stream:
        assert stream.line() == ": open"

        def change(number: int) -> None:
            announce(f"run:{run.pk}", f"run-{run.pk}-{number}")
            assert stream.next("changed").data == {"fragments": [f"run-{run.pk}-{number}"]}

        usually_within(0.2, change, times=10)


def test_changes_are_sent_together_after_the_commit(server: int, cookie: dict[str, str], run: Run) -> None:
    warm_up(server, cookie)
    with open_page(server, cookie, "home", f"run:{run.pk}") as stream:
        stream.line()
        with transaction.atomic():
            announce("home", "never")
            transaction.set_rollback(True)
        with transaction.atomic():
            announce("home", "a", "b")
            announce(f"run:{run.pk}", "b", "c")

        assert stream.next("changed").data == {"fragments": ["a", "b", "c"]}


def test_changes_between_page_and_stream_are_sent(server: int, cookie: dict[str, str]) -> None:
    warm_up(server, cookie)
    made = time.time()
    with open_page(server, cookie, "home") as other:
        other.line()
        announce("home", "missed")
        other.next("changed")

    with open_page(server, cookie, "home", since=made) as stream:
        assert stream.next("changed").data == {"fragments": ["missed"]}


def test_too_many_changes_become_one_resync(server: int, cookie: dict[str, str]) -> None:
    warm_up(server, cookie)
    with open_page(server, cookie, "home") as stream:
        stream.line()
        announce("home", *[f"item-{number}" for number in range(500)])

        stream.next("resync")


def test_anonymous_users_and_unknown_channels_are_refused(server: int, cookie: dict[str, str]) -> None:
    with Stream(server, "/live/?channel=home", {}) as anonymous:
        assert anonymous.response.status in {302, 401, 403}
    for channel in ("everything", "run:999", "run:x", "target:nowhere"):
        with open_page(server, cookie, "home", channel) as stream:
            assert stream.response.status == 403


def test_open_streams_hold_no_database_session(
    server: int, cookie: dict[str, str], run: Run, committed_db: Committed
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (ours,) = cursor.fetchone()
    # Autocommit, because within one transaction PostgreSQL always shows the same sessions.
    with ExitStack() as stack, psycopg.connect(committed_db.url, autocommit=True) as watcher:
        for _ in range(10):
            stack.enter_context(open_page(server, cookie, "home")).line()
            stack.enter_context(Stream(server, f"/runs/{run.pk}/stream", cookie))
        deadline = time.monotonic() + BUSY_AT_MOST_S
        while sessions := watcher.execute(IDLE, [ours]).fetchall():
            assert time.monotonic() < deadline, sessions
            time.sleep(0.1)


def test_a_stream_ends_soon_after_its_user_was_disabled(
    server: int, cookie: dict[str, str], page_viewer: User
) -> None:
    with open_page(server, cookie, "home") as stream:
        stream.line()
        page_viewer.disable(by=SYSTEM)
        time.sleep(live.RECHECK_SESSION_S + 0.5)
        announce("home", "item-1")
        assert [event.name for event in stream.events() if event.name == "changed"] == []


def test_a_log_stream_resumes_and_ends(server: int, cookie: dict[str, str], run: Run) -> None:
    for text in ("one", "two"):
        add_line(run, text, "info")
    path = f"/runs/{run.pk}/stream"
    with Stream(server, path, cookie) as stream:
        first = stream.next("lines")
        assert [(line["number"], line["text"]) for line in first.data] == [(1, "one"), (2, "two")]
        add_line(run, "three <script>", "error")
        assert stream.next("lines").data[0]["text"] == "three <script>"

    add_line(run, "four", "info")
    with Stream(server, path, {**cookie, "Last-Event-ID": first.identifier}) as again:
        assert [line["text"] for line in again.next("lines").data] == ["three <script>", "four"]
        run.fail("It broke.")
        assert again.next("end").data == {"state": "failed"}
        assert again.line() == "", "the server closes"
    with Stream(server, f"{path}?after=3", cookie) as late:
        assert [line["number"] for line in late.next("lines").data] == [4]


def test_a_log_line_reaches_the_page_within_a_second(server: int, cookie: dict[str, str], run: Run) -> None:
    warm_up(server, cookie)
    add_line(run, "first", "info")
    with Stream(server, f"/runs/{run.pk}/stream", cookie) as stream:
        stream.next("lines")

        def write(number: int) -> None:
            add_line(run, f"line {number}", "info")
            assert [line["text"] for line in stream.next("lines").data] == [f"line {number}"]

        usually_within(1, write, times=4)


def test_a_long_log_arrives_in_order_and_is_downloaded_completely(
    server: int, cookie: dict[str, str], run: Run
) -> None:
    LineStore(run).append([Line(timezone.now(), "output", f"line {number}") for number in range(1, 2_501)])
    run.fail("It broke.")
    numbers: list[int] = []
    with Stream(server, f"/runs/{run.pk}/stream", cookie) as stream:
        for event in stream.events():
            numbers += [line["number"] for line in event.data] if event.name == "lines" else []
    with Stream(server, f"/runs/{run.pk}/log.txt", cookie) as download:
        text = download.response.read().decode()

    assert numbers == list(range(1, 2_501))
    assert text.count("\n") == 2_500
    assert text.splitlines()[-1].endswith("line 2500")


def test_a_reader_far_behind_skips_to_the_last_lines(run: Run) -> None:
    LineStore(run).append([Line(timezone.now(), "output", "") for _ in range(10_600)])

    def numbers(after: int) -> list[int]:
        return [line.number for line in run.lines.tail(after, at_most=500)]

    assert numbers(600) == list(range(601, 1_101)), "not far behind"
    assert numbers(599) == list(range(9_601, 10_101))
    assert numbers(10_100) == list(range(10_101, 10_601))
    assert [line.number for line in run.lines.after(0, at_most=3)] == [1, 2, 3]


def test_a_log_needs_permission_to_view_the_run(server: int, cookie: dict[str, str], run: Run) -> None:
    with Stream(server, f"/runs/{run.pk}/stream", {}) as anonymous:
        assert anonymous.response.status in {302, 401, 403}
    with Stream(server, "/runs/999/stream", cookie) as missing:
        assert missing.response.status == 404


def test_pages_work_without_redis(
    db: Any, settings: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live.broker.cache_clear()
    monkeypatch.setattr(live, "_paused_until", 0.0)
    try:
        live.publish("home", '["a"]')
        live.publish("home", '["b"]')
    finally:
        live.broker.cache_clear()

    assert caplog.text.count("Open pages were not notified") == 1, "after a failure, publishing pauses"
