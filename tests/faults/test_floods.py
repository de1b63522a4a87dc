"""Test an operation that prints an excessive amount of malicious output."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psutil
import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from deployctl.accounts.models import User
from deployctl.runs.execution.log import HEAD_BYTES, MIB, TAIL_BYTES, TRIM_BYTES
from deployctl.runs.execution.masking import MASK, encodings
from deployctl.runs.models import Run, RunState, Target
from tests.browser.conftest import launch_browser
from tests.conftest import Committed
from tests.faults.conftest import has_ended
from tests.faults.installation import BrowserSession, Installation
from tests.faults.test_workers import Seen, request
from tests.waiting import until

MEGABYTES = 110
SESSION = settings.SESSION_COOKIE_NAME
SECRET = "p@ss:w/o#rd%1'\\"
GROWS_AT_MOST = 100 * MIB
ANSWERS_WITHIN_S = 5.0


@pytest.mark.browser
@pytest.mark.slow(90)
@pytest.mark.timeout(400)
@pytest.mark.fault(28)
def test_excessive_malicious_output_is_contained_and_masked(
    committed_db: Committed,
    kinds: None,
    add_target: Callable[..., Target],
    installation: Installation,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
    capfd: pytest.CaptureFixture[str],
) -> None:
    target = add_target(password=SECRET)
    client = signed_in(dba)
    browser_session = BrowserSession(installation.web(), client)
    installation.worker()
    until(has_ended(request(target, "look")), seconds=30)

    run = request(target, "flood", megabytes=MEGABYTES)
    until(lambda: Run.objects.filter(pk=run.pk, state=RunState.RUNNING).exists())
    run.refresh_from_db()
    assert run.worker_pid is not None
    with monitored(run.worker_pid) as process, launch_browser() as browser:
        page = browser.new_context(base_url=browser_session.url).new_page()
        page.context.add_cookies(
            [{"url": browser_session.url, "name": SESSION, "value": client.cookies[SESSION].value}]
        )
        slowest = use_page(page, f"/runs/{run.pk}/")
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED, run.summary

    assert run.log_bytes > MEGABYTES * 1_000_000 * 0.8
    assert run.log_lines_dropped > 0
    kept = sum(len(text.encode()) for text in run.lines.values_list("text", flat=True).iterator())
    assert kept < HEAD_BYTES + TAIL_BYTES + 2 * TRIM_BYTES
    assert process.grew < GROWS_AT_MOST, f"the worker grew by {process.grew / MIB:.0f} MiB"
    beginning = list(run.lines.order_by("number").values_list("text", flat=True)[:8])
    assert all(line.startswith(f"it is {MASK}") or line[7:].startswith(MASK) for line in beginning[:4])
    assert "NUL , red , a title , no UTF-8" in beginning[5]
    assert beginning[6].endswith("more characters)")

    searched = sum(
        search_for_secret(place, text) for place, text in exposed_content(browser_session, run, committed_db)
    )
    captured = capfd.readouterr()
    search_for_secret("the output of the processes", io.BytesIO((captured.out + captured.err).encode()))
    assert not process.secret_in_argv, "an argument list contained the secret"
    seen(
        f"{run.log_bytes / 1e6:.0f} MB written, {kept / 1e6:.0f} MB kept, {run.log_lines_dropped:,} lines "
        f"dropped; worker grew by {process.grew / MIB:.0f} MiB; the page handled 4 actions within "
        f"{slowest:.1f} s; no script executed; the secret appears nowhere in {searched / 1e6:.0f} MB of "
        "pages and database"
    )


class ProcessMonitor:
    """The memory growth of a process, and whether its children have the secret in their arguments."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._least = self._most = self._process.memory_info().rss
        self.secret_in_argv = False
        self.ended = threading.Event()

    @property
    def grew(self) -> int:
        """The growth of resident memory since the start, in bytes."""
        return self._most - self._least

    def run(self) -> None:
        """Sample the process until `ended` is set."""
        while not self.ended.wait(0.2):
            self._most = max(self._most, self._process.memory_info().rss)
            for child in self._process.children(recursive=True):
                try:
                    self.secret_in_argv |= any(SECRET in argument for argument in child.cmdline())
                except psutil.Error:
                    continue


@contextmanager
def monitored(pid: int) -> Iterator[ProcessMonitor]:
    """Monitor a process during the block."""
    monitor = ProcessMonitor(pid)
    thread = threading.Thread(target=monitor.run)
    thread.start()
    try:
        yield monitor
    finally:
        monitor.ended.set()
        thread.join()


def use_page(page: Page, address: str) -> float:
    """Use the page of a run while it prints, and return the longest response time in seconds."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(address)
    badge = page.locator("section[aria-label=State] .badge").first
    slowest, deadline = 0.0, time.monotonic() + 240
    while badge.inner_text() != "Succeeded":
        assert time.monotonic() < deadline, "the run did not end"
        started = time.monotonic()
        # A reader's actions: wait for a repaint, search, clear the search, follow the log.
        page.evaluate("new Promise(painted => requestAnimationFrame(painted))")
        page.locator("#log-find").fill("no such line")
        page.locator("#log-find").fill("")
        page.locator("[data-log-follow]").click()
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.3)
    expect(page.locator("[data-log-stream]")).to_contain_text("the last line", timeout=120_000)
    assert slowest < ANSWERS_WITHIN_S
    assert page.locator(".log__line").count() <= 5_000
    assert page.evaluate("window.harmed") is None
    assert page.locator(".log script, .log img").count() == 0
    assert errors == []
    page.goto(f"{address}log")
    expect(page.get_by_text("<script>window.harmed = 1</script>")).to_be_visible()
    assert page.evaluate("window.harmed") is None
    return slowest


def exposed_content(
    browser_session: BrowserSession, run: Run, database: Committed
) -> Iterator[tuple[str, io.BufferedIOBase]]:
    """Yield everything in which the secret could leak: pages, the log file and a dump of the database."""
    for address in (f"/runs/{run.pk}/", f"/runs/{run.pk}/log", f"/targets/{run.target.name}/"):
        yield address, io.BytesIO(browser_session.fetch(address).content)
    with browser_session.fetch(f"/runs/{run.pk}/log.txt", stream=True) as log:
        yield "the log file", log.raw
    dump = [shutil.which("pg_dump") or "pg_dump", "--dbname", database.url]
    with subprocess.Popen(dump, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield "the database", process.stdout  # type: ignore[misc]
    assert process.returncode == 0


def search_for_secret(place: str, text: io.BufferedIOBase) -> int:
    """Fail if the text contains any spelling of the secret; return the number of bytes read."""
    # The middle of the secret must never appear, and neither may the spellings that are masked.
    core = SECRET[1:11]
    known = {core, quote(core, safe=""), quote(core, safe="").lower(), *encodings(SECRET)}
    pattern = re.compile(b"|".join(re.escape(spelling.encode()) for spelling in known))
    read, before = 0, b""
    while chunk := text.read(MIB):
        found = pattern.search(before + chunk)
        assert found is None, f"{place} contains {found and found.group()!r}"
        read, before = read + len(chunk), chunk[-200:]
    return read
