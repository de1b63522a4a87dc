"""Test the access of every kind of person to every URL, for their own deployment and for another one."""

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

# Each test requests several hundred pages.
pytestmark = pytest.mark.timeout(600)

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def test_every_url_is_in_the_table() -> None:
    names = {name for _, name, _ in ADDRESSES}
    listed = {case.name for case in CASES}

    assert names - listed == set(), "URLs that are missing from the table"
    assert listed - names == set(), "rows of the table without a URL"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_person_gets_the_expected_response(db: Any, kind: Kind) -> None:
    world, browser = make(kind)
    cookies = SimpleCookie(browser.cookies)
    unexpected = []
    for case in CASES:
        # For people without a role, both deployments are the same, so one request is enough.
        for own in (True, False) if kind.roles else (False,):
            browser.cookies = SimpleCookie(cookies)
            actual, response = _send(browser, case, world, own=own)
            wanted = expected(case.rule, kind, own=own)
            if actual != wanted:
                whose = "own" if own else "other"
                unexpected.append(
                    f"{case} ({whose}): {actual.value} ({response.status_code}), not {wanted.value}"
                )

    assert not unexpected, "\n" + "\n".join(unexpected)


def test_urls_refuse_methods_that_are_not_in_the_table(db: Any) -> None:
    administrator = next(kind for kind in KINDS if kind.name == "administrator")
    world, browser = make(administrator)
    cookies = SimpleCookie(browser.cookies)
    answered = []
    # django-allauth's own forms accept PUT like POST.
    for name in sorted({case.name for case in CASES if not case.name.startswith("account_")}):
        cases = [case for case in CASES if case.name == name]
        for method in sorted(set(METHODS) - {case.method for case in cases}):
            browser.cookies = SimpleCookie(cookies)
            probe = Case(name, method, cases[0].rule, cases[0].kwargs)
            _, response = _send(browser, probe, world, own=True)
            if response.status_code != 405:
                answered.append(f"{probe}: {response.status_code}")

    assert not answered, "\n" + "\n".join(answered)


def _send(browser: Client, case: Case, world: World, *, own: bool) -> tuple[Answer, HttpResponseBase]:
    side = world.side(own=own)
    with transaction.atomic():
        address = reverse(case.name, kwargs=case.kwargs(world, side))
        body = case.body(world, side) if case.method == "POST" else None
        response = browser.generic(case.method, address) if body is None else browser.post(address, body)
        answer = _classify(response)
        _close(response)
        # Undo all changes, so the cases are independent.
        transaction.set_rollback(True)
    return answer, response


def _close(response: HttpResponseBase) -> None:
    """Close the file of a download without closing the connection, which has the test's transaction."""
    signals.request_finished.disconnect(close_old_connections)
    response.close()
    signals.request_finished.connect(close_old_connections)


def _classify(response: HttpResponseBase) -> Answer:
    if response.status_code == 401:
        return Answer.SIGN_IN
    if response.status_code == 403:
        return Answer.FORBIDDEN
    if response.status_code == 404:
        return Answer.NOT_FOUND
    redirects = {
        reverse("account_login"): Answer.SIGN_IN,
        reverse("accounts:step_up"): Answer.ENTER_CODE,
        reverse("accounts:factor"): Answer.ENROLL,
    }
    path = urlsplit(response.headers.get("Location", "")).path
    return redirects.get(path, Answer.ALLOWED)
