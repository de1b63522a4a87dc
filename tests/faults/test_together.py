"""Test several workers, web processes and installations that work on one target."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connections
from django.test import Client

from deployctl.accounts.models import User
from deployctl.errors import Refusal
from deployctl.runs.models import Run, RunState, Target
from tests import conftest
from tests.checklists import factories
from tests.conftest import Committed
from tests.faults.conftest import has_ended
from tests.faults.installation import BrowserSession, Installation
from tests.faults.test_broker import plan
from tests.faults.test_workers import SYSTEM, Seen, request
from tests.waiting import until
from tests.web.server import Stream

REQUESTS = 40

# Execute a run in another installation, which has another database.
OTHER_INSTALLATION = """
    import sys
    import django
    django.setup()
    from deployctl.audit import Machine
    from deployctl.runs import queue
    from deployctl.runs.execution import supervisor
    from deployctl.runs.models import Run, Target

    queue.enqueue = lambda run_id: True
    reference, kind = sys.argv[1:]
    here = Machine("test")
    target = Target.add(name="theirs", environment="staging", connection_reference=reference, by=here)
    run = Run.request(target=target, kind=kind, params={}, by=here, typed_name=target.name)
    supervisor.execute(run.pk)
    run.refresh_from_db()
    print(run.state, run.summary)
"""


@pytest.fixture
def other_installation(committed_db: Committed) -> Iterator[Committed]:
    """The database of another installation."""
    name = f"test_other_{uuid.uuid4().hex[:12]}"
    conftest._create(name, conftest.TEMPLATE)
    yield Committed(name, conftest._with_name(committed_db.url, name))
    conftest._drop(name)


@pytest.mark.slow(20)
@pytest.mark.fault(29)
def test_two_workers_and_two_web_processes_run_everything_once(
    shop: Target,
    installation: Installation,
    dba: User,
    signed_in: Callable[..., Client],
    seen: Seen,
) -> None:
    workers = {installation.worker().pid, installation.worker().pid}
    ports = [installation.web(), installation.web()]
    client = signed_in(dba)
    with psycopg.connect(shop.spec().conninfo(), autocommit=True) as session:
        session.execute("CREATE TABLE effects (run int)")
    wait_for_both_workers(installation, shop, workers)

    def submit(number: int) -> int:
        browser_session = BrowserSession(ports[number % 2], client)
        return browser_session.submit("/targets/shop/runs", kind="note").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(submit, range(REQUESTS)))

    assert answers == [303] * REQUESTS
    runs = Run.objects.filter(kind="note")
    until(lambda: not runs.unfinished().exists(), seconds=60)
    assert list(runs.values_list("state", flat=True)) == [RunState.SUCCEEDED] * REQUESTS
    with psycopg.connect(shop.spec().conninfo()) as session:
        effects = Counter(row for (row,) in session.execute("SELECT run FROM effects").fetchall())
    assert effects == Counter(runs.values_list("pk", flat=True)), "a run was executed twice or not at all"
    shares = Counter(worker for run in runs for worker in installation.deliveries(run.pk))
    assert set(shares) == workers
    assert min(shares.values()) >= 5, shares

    took = live_update_delay(BrowserSession(ports[0], client), BrowserSession(ports[1], client), dba)
    seen(
        f"{REQUESTS} requests to 2 web processes: {' and '.join(map(str, shares.values()))} runs by the "
        f"2 workers, each once; a tick in one web process appeared on a page of the other after {took:.2f} s"
    )


def wait_for_both_workers(installation: Installation, target: Target, workers: set[int]) -> None:
    """Request runs until each worker has executed one."""

    def have_worked() -> bool:
        last = request(target, "look")
        until(has_ended(last), seconds=30)
        return {worker for run in Run.objects.all() for worker in installation.deliveries(run.pk)} == workers

    until(have_worked, seconds=60)


def live_update_delay(here: BrowserSession, there: BrowserSession, by: User) -> float:
    """Tick an item in one web process; return the seconds until a page of the other shows it."""
    planned = plan(by)
    item = factories.item(planned, "Anybody checks this")
    address = f"/live/?channel=deployment:{planned.pk}&since={time.time()}"
    with Stream(here.port, address, here.cookie) as page:
        page.next("resync")  # the first stream of a process begins with a resync
        submitted = time.monotonic()
        assert there.submit(f"/items/{item.pk}/completion").status_code < 400
        while f"item-{item.pk}" not in page.next("changed").data["fragments"]:
            pass
        took = time.monotonic() - submitted
    assert 'data-status="done"' in here.fetch(f"/items/{item.pk}/").text
    return took


@pytest.mark.slow(15)
@pytest.mark.fault(10)
def test_backup_and_restore_exclude_each_other_across_installations(
    shop: Target, installation: Installation, other_installation: Committed, seen: Seen
) -> None:
    accepted, refused = request_together(shop, "backup", "restore")
    assert f"started “{accepted.title}” on shop (run {accepted.pk})" in refused
    accepted.cancel(by=SYSTEM)

    for _ in range(2):
        installation.worker()
    with psycopg.connect(shop.spec().conninfo(), autocommit=True) as session:
        session.execute("CREATE TABLE plan AS SELECT 1 AS n")
    with psycopg.connect(shop.spec().conninfo()) as holder:
        holder.execute("LOCK TABLE plan")  # the running backup waits for this lock
        backup = request(shop, "backup")
        until(lambda: Run.objects.filter(pk=backup.pk, steps__isnull=False).exists())
        with pytest.raises(Refusal, match=f"run {backup.pk}"):
            request(shop, "restore")
        output = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(OTHER_INSTALLATION), shop.connection_reference, "restore"],
            env=other_installation.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert output.startswith("failed Another deployctl installation is working on")
    until(has_ended(backup), seconds=30)
    backup.refresh_from_db()
    assert backup.state == RunState.SUCCEEDED, backup.summary
    seen(
        f"simultaneous requests: one accepted, the other refused with its name; a restore during a backup: "
        f"refused; from another installation: “{output.strip().removeprefix('failed ')}”"
    )


def request_together(target: Target, *kinds: str) -> tuple[Run, str]:
    """Request two kinds of run at the same time; return the accepted one and the refusal of the other."""
    barrier = threading.Barrier(len(kinds))

    def request_run(kind: str) -> Run | str:
        barrier.wait()
        try:
            return request(target, kind)
        except Refusal as refused:
            return refused.message
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(kinds)) as pool:
        answers = list(pool.map(request_run, kinds))
    [accepted] = [answer for answer in answers if isinstance(answer, Run)]
    [refused] = [answer for answer in answers if isinstance(answer, str)]
    return accepted, refused
