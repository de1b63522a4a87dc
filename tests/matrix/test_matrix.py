"""Every address, asked by every kind of person, about a deployment of their own and about another."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import signals
from django.db import close_old_connections, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from tests.architecture.test_policies import ADDRESSES
from tests.matrix.cases import CASES, Case
from tests.matrix.rules import Answer, Kind, expected
from tests.matrix.world import KINDS, World, make

# Some hundred pages each.
pytestmark = pytest.mark.timeout(600)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_every_address_is_in_the_table() -> None:
    names = {name for _, name, _ in ADDRESSES}
    listed = {case.name for case in CASES}

    assert names - listed == set(), "addresses that the table does not know"
    assert listed - names == set(), "lines of the table without an address"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_person_is_answered_as_they_should_be(db: Any, kind: Kind) -> None:
    world, browser = make(kind)
    cookies = SimpleCookie(browser.cookies)
    wrong = []
    for case in CASES:
        # Who has no part in any deployment is asked about one of them only: to them they are alike.
        for own in (True, False) if kind.parts else (False,):
            browser.cookies = SimpleCookie(cookies)
            seen, answer = _ask(browser, case, world, own=own)
            wanted = expected(case.rule, kind, own=own)
            if seen != wanted:
                whose = "own" if own else "other"
                wrong.append(f"{case} ({whose}): {seen.value} ({answer.status_code}), not {wanted.value}")

    assert not wrong, "\n" + "\n".join(wrong)


def test_no_address_answers_a_method_that_the_table_does_not_know(db: Any) -> None:
    administrator = next(kind for kind in KINDS if kind.name == "administrator")
    world, browser = make(administrator)
    cookies = SimpleCookie(browser.cookies)
    answered = []
    # django-allauth's own forms take PUT for POST.
    for name in sorted({case.name for case in CASES if not case.name.startswith("account_")}):
        cases = [case for case in CASES if case.name == name]
        for method in sorted(set(METHODS) - {case.method for case in cases}):
            browser.cookies = SimpleCookie(cookies)
            probe = Case(name, method, cases[0].rule, cases[0].kwargs)
            _, answer = _ask(browser, probe, world, own=True)
            if answer.status_code != 405:
                answered.append(f"{probe}: {answer.status_code}")

    assert not answered, "\n" + "\n".join(answered)


def _ask(browser: Client, case: Case, world: World, *, own: bool) -> tuple[Answer, HttpResponseBase]:
    side = world.side(own=own)
    with transaction.atomic():
        address = reverse(case.name, kwargs=case.kwargs(world, side))
        body = case.body(world, side) if case.method == "POST" else None
        response = browser.generic(case.method, address) if body is None else browser.post(address, body)
        answer = _understood(response)
        _close(response)
        # Whatever it did, the next case finds everything as it was.
        transaction.set_rollback(True)
    return answer, response


def _close(response: HttpResponseBase) -> None:
    """Close a download's file, but not the connection that holds the test's transaction."""
    signals.request_finished.disconnect(close_old_connections)
    response.close()
    signals.request_finished.connect(close_old_connections)


def _understood(response: HttpResponseBase) -> Answer:
    if response.status_code == 401:
        return Answer.SIGN_IN
    if response.status_code == 403:
        return Answer.REFUSED
    if response.status_code == 404:
        return Answer.ABSENT
    places = {
        reverse("account_login"): Answer.SIGN_IN,
        reverse("accounts:step_up"): Answer.GIVE_CODE,
        reverse("accounts:factor"): Answer.ENROLL,
    }
    where = urlsplit(response.headers.get("Location", "")).path
    return places.get(where, Answer.LET_IN)
