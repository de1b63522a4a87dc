"""Audit entries are hashed, in order, and committed with the change that they record."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.transaction import TransactionManagementError
from hypothesis import given
from hypothesis import strategies as st

from deployctl import audit
from deployctl.accounts.models import User
from deployctl.audit import Action, Machine
from deployctl.audit.canonical import GENESIS, compute_hash, jsonable
from deployctl.audit.models import Entry
from tests.people import person

TEST = Machine("test")


def test_an_entry_outside_a_transaction_is_refused(committed_db: Any) -> None:
    with pytest.raises(TransactionManagementError, match="part of the transaction"):
        audit.append(Action.PERSON_EDITED, by=TEST)
    assert not Entry.objects.exists()


def test_each_entry_contains_the_hash_of_the_previous_one(db: Any) -> None:
    appended = [audit.append(Action.PERSON_EDITED, by=TEST, data={"number": number}) for number in range(3)]
    stored = list(Entry.objects.order_by("sequence"))
    assert [entry.sequence for entry in stored] == [1, 2, 3]
    assert [entry.previous_hash for entry in stored] == [GENESIS, appended[0].hash, appended[1].hash]
    assert [compute_hash(entry) for entry in stored] == [entry.hash for entry in appended]


def test_a_rollback_leaves_no_gap(db: Any) -> None:
    audit.append(Action.PERSON_EDITED, by=TEST)
    with transaction.atomic():
        audit.append(Action.PERSON_EDITED, by=TEST)
        transaction.set_rollback(True)
    assert audit.append(Action.PERSON_EDITED, by=TEST).sequence == 2
    assert audit.verify().ok


def test_an_entry_keeps_the_names_at_the_time(dba: User) -> None:
    entry = audit.append(Action.PERSON_EDITED, by=dba, subject=dba)
    User.objects.filter(pk=dba.pk).update(name="Somebody Else")
    entry.refresh_from_db()
    assert (entry.actor_name, entry.subject, entry.actor_id) == ("Dana Baker", "Dana Baker", dba.pk)
    assert audit.verify().ok


def test_the_time_comes_from_the_database(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: dt.datetime(1999, 1, 1, tzinfo=dt.UTC))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        before = cursor.fetchone()[0]
    assert audit.append(Action.PERSON_EDITED, by=TEST).at >= before


def test_an_entry_of_a_machine_has_its_name(db: Any) -> None:
    entry = audit.append(Action.PERSON_EDITED, by=Machine("worker"))
    assert (entry.actor_id, entry.actor_name) == (None, "worker")


def test_entries_are_found_by_deployment_and_subject(dba: User, viewer: User) -> None:
    audit.append(Action.PERSON_EDITED, by=TEST, subject=dba, deployment_id=7)
    audit.append(Action.PERSON_EDITED, by=TEST, subject=viewer)
    assert [entry.subject for entry in Entry.objects.of_deployment(7)] == ["Dana Baker"]
    assert Entry.objects.about(viewer).first().subject == "Vi Ewing"


def test_concurrent_writers_produce_one_chain(committed_db: Any) -> None:
    threads, each = 8, 10
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(each):
            with transaction.atomic():
                audit.append(Action.PERSON_EDITED, by=TEST)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    result = audit.verify()
    assert (result.ok, result.checked) == (True, threads * each)
    times = list(Entry.objects.order_by("sequence").values_list("at", flat=True))
    assert times == sorted(times)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_values)
def test_recorded_values_survive_json_unchanged(value: Any) -> None:
    once = jsonable(value)
    assert jsonable(json.loads(json.dumps(once))) == once


@pytest.mark.parametrize(
    "value",
    [
        2**80,
        -(2**60),
        1e300,
        1.5,
        -0.0,
        1e-7,
        float("nan"),
        "a\0b",
        "\ud800",
        "é\u2028",
        {"ä": [1, None]},
        [1e15],
    ],
)
def test_the_hash_covers_values_as_jsonb_stores_them(db: Any, value: Any) -> None:
    audit.append(Action.PERSON_EDITED, by=TEST, data={"value": value})
    assert audit.verify().ok


def test_creating_a_person_is_recorded_with_their_permissions(db: Any) -> None:
    from deployctl.accounts.roles import Permission

    person("Nell New", Permission.OPERATOR)
    assert list(Entry.objects.order_by("sequence").values_list("action", flat=True)) == [
        "person.created",
        "permission.granted",
    ]
