"""Sessions: time limits and ending them remotely."""

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


def test_half_an_hour_without_activity_ends_a_session(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=29))
    assert client.get("/member/").status_code == 200
    SignIn.objects.update(seen_at=ago(minutes=31))
    response = client.get("/member/", follow=True)
    assert "signed out because of inactivity" in response.content.decode()
    assert SignIn.objects.get().ended_because == "idle"


def test_a_session_ends_after_twelve_hours(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(started_at=ago(hours=12, seconds=1))
    assert "reached its time limit" in client.get("/member/", follow=True).content.decode()


def test_activity_extends_a_session(client: Client, viewer: User) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=20))
    client.get("/member/")
    assert SignIn.objects.get().seen_at > ago(minutes=1)


@pytest.mark.parametrize(
    "headers", [{"HX-Request": "true"}, {"X-Live": "refresh"}, {"Accept": "text/event-stream"}]
)
def test_automatic_updates_do_not_extend_a_session(
    client: Client, viewer: User, headers: dict[str, str]
) -> None:
    sign_in(client, viewer)
    SignIn.objects.update(seen_at=ago(minutes=20))
    client.get("/member/", headers=headers)
    assert SignIn.objects.get().seen_at < ago(minutes=19)


def test_disabling_a_person_ends_their_session(client: Client, viewer: User, administrator: User) -> None:
    sign_in(client, viewer)
    assert client.get("/member/").status_code == 200
    viewer.disable(by=administrator)
    assert client.get("/member/").status_code == 302
    viewer.enable(by=administrator)
    assert client.get("/member/").status_code == 302, "re-enabling doesn't restore sessions"


def test_a_person_ends_their_other_sessions(client: Client, viewer: User, dba: User) -> None:
    other, other_persons_client = Client(), Client()
    sign_in(client, viewer)
    sign_in(other, viewer)
    sign_in(other_persons_client, dba)
    assert "Sign out other sessions" in client.get("/account/").content.decode()
    client.post("/account/sessions/", {"_method": "DELETE"})
    assert client.get("/member/").status_code == 200
    assert other_persons_client.get("/member/").status_code == 200
    assert other.get("/member/").status_code == 302


def test_a_person_can_end_only_their_own_sessions(client: Client, viewer: User, dba: User) -> None:
    other, other_persons_client = Client(), Client()
    sign_in(client, viewer)
    mine, theirs = sign_in(other, viewer), sign_in(other_persons_client, dba)
    assert client.post(f"/account/sessions/{mine.pk}/", {"_method": "DELETE"}).status_code == 303
    assert client.post(f"/account/sessions/{theirs.pk}/", {"_method": "DELETE"}).status_code == 404
    assert other.get("/member/").status_code == 302
    assert other_persons_client.get("/member/").status_code == 200


def test_a_session_cannot_use_another_persons_sign_in(client: Client, viewer: User, dba: User) -> None:
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


def test_a_request_makes_few_queries(client: Client, dba: User, django_assert_max_num_queries: Any) -> None:
    sign_in(client, dba)
    client.get("/operator/")
    with django_assert_max_num_queries(5):
        client.get("/operator/")


@pytest.mark.parametrize(
    ("user_agent", "name"),
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
def test_browser_and_system_are_recognized(user_agent: str, name: str) -> None:
    assert SignIn(browser=user_agent).browser_name == name
