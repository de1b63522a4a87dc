"""Several processes at one thing: they share the work, and keep out of each other's way."""

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
from tests.checklists import deployments
from tests.conftest import Committed
from tests.faults.conftest import has_ended
from tests.faults.installation import Installation, Visitor
from tests.faults.test_broker import plan
from tests.faults.test_workers import SYSTEM, Seen, request
from tests.waiting import until
from tests.web.server import Stream

PRESSES = 40

# A run in another installation, which knows nothing of the first one's rows.
ELSEWHERE = """
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
def neighbour(committed_db: Committed) -> Iterator[Committed]:
    """The database of another installation."""
    name = f"test_neighbour_{uuid.uuid4().hex[:12]}"
    conftest._create(name, conftest.TEMPLATE)
    yield Committed(name, conftest._with_name(committed_db.url, name))
    conftest._drop(name)


@pytest.mark.slow(20)
@pytest.mark.fault(29)
def test_two_workers_and_two_web_processes_share_the_work_and_nothing_runs_twice(
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
    both_take_work(installation, shop, workers)

    def press(number: int) -> int:
        visitor = Visitor(ports[number % 2], client)
        return visitor.press("/targets/shop/runs", kind="note").status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press, range(PRESSES)))

    assert answers == [303] * PRESSES
    runs = Run.objects.filter(kind="note")
    until(lambda: not runs.unfinished().exists(), seconds=60)
    assert list(runs.values_list("state", flat=True)) == [RunState.SUCCEEDED] * PRESSES
    with psycopg.connect(shop.spec().conninfo()) as session:
        effects = Counter(row for (row,) in session.execute("SELECT run FROM effects").fetchall())
    assert effects == Counter(runs.values_list("pk", flat=True)), "a run took place twice or not at all"
    shares = Counter(worker for run in runs for worker in installation.deliveries(run.pk))
    assert set(shares) == workers
    assert min(shares.values()) >= 5, shares

    took = seen_live(Visitor(ports[0], client), Visitor(ports[1], client), dba)
    seen(
        f"{PRESSES} presses over 2 web processes: {' and '.join(map(str, shares.values()))} runs by the "
        f"2 workers, each once; a tick through one web process on a page of the other after {took:.2f} s"
    )


def both_take_work(installation: Installation, target: Target, workers: set[int]) -> None:
    """Wait until each worker has had something to do."""

    def have() -> bool:
        last = request(target, "look")
        until(has_ended(last), seconds=30)
        return {worker for run in Run.objects.all() for worker in installation.deliveries(run.pk)} == workers

    until(have, seconds=60)


def seen_live(here: Visitor, there: Visitor, by: User) -> float:
    """Tick through one web process what is watched through the other; returns the seconds it took."""
    planned = plan(by)
    item = deployments.item(planned, "Anybody checks this")
    address = f"/live/?channel=deployment:{planned.pk}&since={time.time()}"
    with Stream(here.port, address, here.cookie) as page:
        page.next("resync")  # the first stream of a process makes sure of what it may have missed
        pressed = time.monotonic()
        assert there.press(f"/items/{item.pk}/completion").status_code < 400
        while f"item-{item.pk}" not in page.next("changed").data["fragments"]:
            pass
        took = time.monotonic() - pressed
    assert 'data-status="done"' in here.see(f"/items/{item.pk}/").text
    return took


@pytest.mark.slow(15)
@pytest.mark.fault(10)
def test_backup_and_restore_keep_out_of_each_others_way_across_workers_and_installations(
    shop: Target, installation: Installation, neighbour: Committed, seen: Seen
) -> None:
    accepted, refused = press_together(shop, "backup", "restore")
    assert f"started “{accepted.title}” on shop (run {accepted.pk})" in refused
    accepted.cancel(by=SYSTEM)

    for _ in range(2):
        installation.worker()
    with psycopg.connect(shop.spec().conninfo(), autocommit=True) as session:
        session.execute("CREATE TABLE plan AS SELECT 1 AS n")
    with psycopg.connect(shop.spec().conninfo()) as holder:
        holder.execute("LOCK TABLE plan")  # the backup waits for it, in the middle
        backup = request(shop, "backup")
        until(lambda: Run.objects.filter(pk=backup.pk, steps__isnull=False).exists())
        with pytest.raises(Refusal, match=f"run {backup.pk}"):
            request(shop, "restore")
        theirs = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(ELSEWHERE), shop.connection_reference, "restore"],
            env=neighbour.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert theirs.startswith("failed Another deployctl installation is working on")
    until(has_ended(backup), seconds=30)
    backup.refresh_from_db()
    assert backup.state == RunState.SUCCEEDED, backup.summary
    seen(
        f"pressed in one moment: one accepted, the other refused naming it; a restore while a worker backs "
        f"up: refused; from another installation: “{theirs.strip().removeprefix('failed ')}”"
    )


def press_together(target: Target, *kinds: str) -> tuple[Run, str]:
    """Request several kinds in the same moment; the one that was accepted, and the refusal of the other."""
    together = threading.Barrier(len(kinds))

    def press(kind: str) -> Run | str:
        together.wait()
        try:
            return request(target, kind)
        except Refusal as refused:
            return refused.sentence
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(kinds)) as pool:
        answers = list(pool.map(press, kinds))
    [accepted] = [answer for answer in answers if isinstance(answer, Run)]
    [refused] = [answer for answer in answers if isinstance(answer, str)]
    return accepted, refused
