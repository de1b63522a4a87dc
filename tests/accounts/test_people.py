"""Methods of people: permissions, disabling, profile, second factor."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection, transaction

from deployctl.accounts.models import SignIn, User
from deployctl.accounts.roles import Permission
from deployctl.accounts.testing import enroll, sign_in
from deployctl.audit import Machine
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, Refusal
from tests.people import person

TEST = Machine("test")


def test_active_people_without_permissions_can_only_view(outsider: User) -> None:
    assert [choice for choice in Permission if outsider.may(choice)] == [Permission.VIEWER]


def test_an_administrator_has_all_permissions(administrator: User) -> None:
    assert all(administrator.may(choice) for choice in Permission)


def test_a_disabled_person_has_no_permissions(administrator: User, dba: User) -> None:
    dba.disable(by=administrator)
    assert not any(dba.may(choice) for choice in Permission)


def test_granting_and_revoking_takes_effect_immediately_and_is_audited(outsider: User) -> None:
    assert not outsider.may(Permission.OPERATOR)
    outsider.grant(Permission.OPERATOR, by=TEST)
    outsider.grant(Permission.OPERATOR, by=TEST)
    assert outsider.may(Permission.OPERATOR)
    assert outsider.grants.get().granted_by_name == "test"
    outsider.revoke(Permission.OPERATOR, by=TEST)
    outsider.revoke(Permission.OPERATOR, by=TEST)
    assert not outsider.may(Permission.OPERATOR)
    actions = Entry.objects.about(outsider).order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["person.created", "permission.granted", "permission.revoked"]


def test_people_are_found_by_permission(administrator: User, dba: User, cto: User, outsider: User) -> None:
    assert set(User.objects.with_permission(Permission.OPERATOR)) == {administrator, dba}
    assert User.objects.with_permission(Permission.VIEWER).count() == 4


def test_the_last_administrator_cannot_be_removed(administrator: User) -> None:
    with pytest.raises(Refusal, match="only active administrator"):
        administrator.revoke(Permission.ADMINISTRATOR, by=TEST)
    with pytest.raises(Refusal, match="only active administrator"):
        administrator.disable(by=TEST)
    assert administrator.may(Permission.ADMINISTRATOR)


def test_a_person_cannot_disable_their_own_account(administrator: User) -> None:
    with pytest.raises(Refusal, match="can't disable your own account"):
        administrator.disable(by=administrator)


def test_of_two_administrators_who_disable_each_other_one_remains(committed_db: Any) -> None:
    pair = [person("Ada Minster", Permission.ADMINISTRATOR), person("Bea Minster", Permission.ADMINISTRATOR)]
    start, outcomes = threading.Barrier(2), Counter[str]()

    def disable(me: User, other: User) -> None:
        start.wait()
        try:
            User.objects.get(pk=other.pk).disable(by=me)
            outcomes["disabled"] += 1
        except Refusal:
            outcomes["refused"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=disable, args=order) for order in (pair, pair[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"disabled": 1, "refused": 1}
    assert User.objects.active().count() == 1


def test_profile_changes_are_audited_with_the_old_values(dba: User) -> None:
    dba.edit(by=dba, phone=" +49 30 1 ", name=dba.name)
    dba.refresh_from_db()
    assert dba.phone == "+49 30 1"
    assert Entry.objects.first().facts == [("phone", "— → +49 30 1")]


@pytest.mark.parametrize("changes", [{"timezone": "Mars/Olympus"}, {"name": "  "}, {"phone": "1" * 41}])
def test_invalid_profile_values_are_rejected(dba: User, changes: dict[str, str]) -> None:
    before = dba.timezone, dba.name, dba.phone
    with pytest.raises(InvalidInput):
        dba.edit(by=dba, **changes)
    assert (dba.timezone, dba.name, dba.phone) == before


def test_removing_a_second_factor_requires_a_reason(client: Any, dba: User, administrator: User) -> None:
    sign_in(client, dba)
    with pytest.raises(InvalidInput, match="verified the person's identity"):
        dba.remove_second_factor(by=administrator, reason=" ")
    dba.remove_second_factor(by=administrator, reason="called back on the known number")
    assert not User.objects.get(pk=dba.pk).has_second_factor
    assert not SignIn.objects.open().exists()
    assert Entry.objects.first().data == {"reason": "called back on the known number"}
    with pytest.raises(Refusal, match="doesn't have a second factor"):
        dba.remove_second_factor(by=administrator, reason="again")


def test_people_with_records_cannot_be_deleted(dba: User) -> None:
    from django.db.models import ProtectedError

    enroll(dba)
    with pytest.raises(ProtectedError), transaction.atomic():
        dba.delete()
