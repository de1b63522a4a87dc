"""How long a session lasts, and from where it can be ended."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import SignIn, User
from deployctl.accounts.testing import sign_in

pytestmark = pytest.mark.urls("tests.accounts.pages")


def ago(**length: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(**length)


def test_half_an_hour_of_nothing_ends_it_with_a_sentence(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=29))
    assert client.get("/member/").status_code == 200
    SignIn.objects.update(seen_at=ago(minutes=31))
    answer = client.get("/member/", follow=True)
    assert "signed out because nothing happened" in answer.content.decode()
    assert SignIn.objects.get().ended_because == "idle"


def test_twelve_hours_end_it_whatever_happens(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(started_at=ago(hours=12, seconds=1))
    assert "longest time" in client.get("/member/", follow=True).content.decode()


def test_doing_something_extends_it(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=20))
    client.get("/member/")
    assert SignIn.objects.get().seen_at > ago(minutes=1)


@pytest.mark.parametrize(
    "headers", [{"HX-Request": "true"}, {"X-Live": "refresh"}, {"Accept": "text/event-stream"}]
)
def test_a_page_that_keeps_itself_up_to_date_does_not_extend_it(
    client: Client, viewer: User, headers: dict[str, str]
) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=20))
    client.get("/member/", headers=headers)
    assert SignIn.objects.get().seen_at < ago(minutes=19)


def test_a_disabled_person_is_out_at_once(client: Client, viewer: User, administrator: User) -> None:
    sign_in(client, viewer)
    assert client.get("/member/").status_code == 200
    viewer.disable(by=administrator)
    assert client.get("/member/").status_code == 302
    viewer.enable(by=administrator)
    assert client.get("/member/").status_code == 302, "enabling does not bring sessions back"


def test_the_other_sessions_are_ended_from_my_account(client: Client, viewer: User, dba: User) -> None:
    other, strangers = Client(), Client()
    sign_in(client, viewer)
    sign_in(other, viewer)
    sign_in(strangers, dba)
    assert "Sign out everywhere else" in client.get("/account/").content.decode()
    client.post("/account/sessions/", {"_method": "DELETE"})
    assert client.get("/member/").status_code == 200
    assert strangers.get("/member/").status_code == 200
    assert other.get("/member/").status_code == 302


def test_one_session_is_ended_and_only_ones_own(client: Client, viewer: User, dba: User) -> None:
    other, strangers = Client(), Client()
    sign_in(client, viewer)
    mine, theirs = sign_in(other, viewer), sign_in(strangers, dba)
    assert client.post(f"/account/sessions/{mine.pk}/", {"_method": "DELETE"}).status_code == 303
    assert client.post(f"/account/sessions/{theirs.pk}/", {"_method": "DELETE"}).status_code == 404
    assert other.get("/member/").status_code == 302
    assert strangers.get("/member/").status_code == 200


def test_a_number_of_another_persons_stay_in_the_session_is_worth_nothing(
    client: Client, viewer: User, dba: User
) -> None:
    sign_in(client, viewer)
    theirs = sign_in(Client(), dba)
    session = client.session
    session["sign_in"] = theirs.pk
    session.save()
    client.get("/member/")
    assert client.session["sign_in"] != theirs.pk


def test_pages_of_signed_in_people_are_not_cached(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    assert client.get("/member/")["Cache-Control"] == "private, no-store"


def test_a_request_costs_few_queries(client: Client, dba: User, django_assert_max_num_queries: Any) -> None:
    sign_in(client, dba)
    client.get("/operator/")
    with django_assert_max_num_queries(5):
        client.get("/operator/")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8", "unknown"),
    ],
)
def test_a_browser_is_told_in_two_words(said: str, name: str) -> None:
    assert SignIn(browser=said).browser_name == name
