"""The table rejects changes. If somebody makes them all the same, verification reports the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from deployctl import audit
from deployctl.accounts.models import User
from deployctl.accounts.tasks import send_security_emails
from deployctl.audit import Action, Machine
from deployctl.audit.canonical import compute_hash
from deployctl.audit.models import Entry, Verification
from deployctl.audit.tasks import verify_chain
from deployctl.audit.verification import Head

TEST = Machine("test")


@pytest.fixture
def chain(db: Any) -> list[Entry]:
    entries = [audit.append(Action.PERSON_EDITED, by=TEST, data={"number": number}) for number in range(1, 7)]
    # With pending foreign key checks, TRUNCATE would fail for another reason.
    connection.check_constraints()
    return entries


@contextmanager
def triggers_off() -> Iterator[Any]:
    """Disable the triggers, which only the owner of the table can do."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only")
        yield cursor
        cursor.execute("ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only")


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    "act",
    [
        lambda: Entry.objects.filter(sequence=2).update(actor_name="Nobody"),
        lambda: Entry.objects.filter(sequence=2).delete(),
        lambda: Entry.objects.get(sequence=2).delete(),
        lambda: connection.cursor().execute("TRUNCATE audit_entry"),
        lambda: connection.cursor().execute("DELETE FROM audit_entry WHERE sequence = 999"),
    ],
    ids=["update", "delete many", "delete one", "truncate", "delete nothing"],
)
def test_an_entry_cannot_be_changed_or_removed(chain: list[Entry], act: Callable[[], object]) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        act()
    assert audit.verify().checked == len(chain)


def test_an_untouched_chain_is_intact(chain: list[Entry]) -> None:
    result = audit.verify(Head(4, chain[3].hash))
    assert (result.ok, result.checked, result.head) == (True, 6, Head(6, chain[-1].hash))


def test_an_empty_chain_is_intact(db: Any) -> None:
    assert audit.verify().ok


@pytest.mark.parametrize(
    "change",
    [
        "actor_name = 'Nobody'",
        "action = 'person.created'",
        "at = at + interval '1 microsecond'",
        "subject = 'x'",
        "deployment_id = 1",
        """data = '{"number": 30}'""",
        "hash = repeat('0', 64)",
        "previous_hash = repeat('0', 64)",
    ],
)
def test_a_changed_entry_is_reported(chain: list[Entry], change: str) -> None:
    with triggers_off() as cursor:
        cursor.execute(f"UPDATE audit_entry SET {change} WHERE sequence = 3")  # noqa: S608
    result = audit.verify()
    assert (result.ok, result.checked, result.first_broken_sequence) == (False, 2, 3)
    assert "Entry 3 was changed" in result.reason


def test_a_changed_entry_with_a_new_hash_breaks_the_next_entry(chain: list[Entry]) -> None:
    forged = chain[2]
    forged.actor_name = "Nobody"
    with triggers_off() as cursor:
        cursor.execute(
            "UPDATE audit_entry SET actor_name = 'Nobody', hash = %s WHERE sequence = 3",
            [compute_hash(forged)],
        )
    result = audit.verify()
    assert result.first_broken_sequence == 4
    assert "doesn't follow entry 3" in result.reason


def test_a_removed_entry_is_reported(chain: list[Entry]) -> None:
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE sequence = 4")
    result = audit.verify()
    assert result.first_broken_sequence == 4
    assert "Entry 4 is missing" in result.reason


def test_swapped_entries_are_detected(chain: list[Entry]) -> None:
    with triggers_off() as cursor:
        cursor.execute("UPDATE audit_entry SET sequence = 100 WHERE sequence = 2")
        cursor.execute("UPDATE audit_entry SET sequence = 2 WHERE sequence = 5")
        cursor.execute("UPDATE audit_entry SET sequence = 5 WHERE sequence = 100")
    assert audit.verify().first_broken_sequence == 2


@pytest.mark.fault(27)
def test_a_cut_off_end_is_detected_only_with_an_earlier_head(chain: list[Entry]) -> None:
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE sequence > 4")
    assert audit.verify().ok
    result = audit.verify(Head(6, chain[-1].hash))
    assert (result.ok, result.first_broken_sequence) == (False, 5)
    assert "The end of the chain is missing" in result.reason


def test_a_rewritten_chain_does_not_contain_an_earlier_head(chain: list[Entry]) -> None:
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entry")
    for _ in chain:
        audit.append(Action.PERSON_EDITED, by=TEST, data={"forged": True})
    assert audit.verify().ok
    result = audit.verify(Head(6, chain[-1].hash))
    assert (result.ok, result.first_broken_sequence) == (False, 6)
    assert "rewritten" in result.reason


def test_a_verification_is_stored_with_its_requester(chain: list[Entry]) -> None:
    verification = Verification.objects.perform(by=TEST)
    assert (verification.ok, verification.checked, verification.by_name) == (True, 6, "test")
    assert Entry.objects.first().action == Action.CHAIN_VERIFIED


def test_administrators_get_an_e_mail_about_a_broken_chain(
    chain: list[Entry],
    administrator: User,
    viewer: User,
    mailoutbox: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        verify_chain()
    assert callbacks == []
    with triggers_off() as cursor:
        cursor.execute("UPDATE audit_entry SET subject = 'x' WHERE sequence = 3")
    with django_capture_on_commit_callbacks() as callbacks:
        verify_chain()
    assert len(callbacks) == 1
    send_security_emails(Entry.objects.first().sequence)
    [sent] = mailoutbox
    assert (sent.to, sent.subject) == ([administrator.email], "deployctl: The audit chain is broken")
    assert "Entry 3 was changed" in sent.body
    assert "If you didn't do this" not in sent.body


def test_the_whole_chain_is_read_with_one_query(db: Any, django_assert_max_num_queries: Any) -> None:
    for _ in range(50):
        audit.append(Action.PERSON_EDITED, by=TEST)
    with django_assert_max_num_queries(1):
        assert audit.verify().checked == 50


def test_the_triggers_can_be_removed_and_reinstalled(db: Any) -> None:
    from deployctl.audit import triggers

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(triggers.REMOVE)
        cursor.execute("DELETE FROM audit_entry")
        cursor.execute(triggers.INSTALL)
