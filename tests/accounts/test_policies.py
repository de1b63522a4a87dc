"""Who is let in where, and how the others are told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.utils import timezone

from deployctl.accounts import policies
from deployctl.accounts.models import SignIn, User
from deployctl.accounts.models.sign_in import SecondFactor
from deployctl.accounts.testing import current_code, enroll, sign_in
from deployctl.audit.models import Entry
from tests.accounts.pages import POLICIES, page

pytestmark = pytest.mark.urls("tests.accounts.pages")

LOGIN = "/account/login/"


def browser(user: User, **options: Any) -> Client:
    client = Client()
    sign_in(client, user, **options)
    return client


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "public"])
def test_a_visitor_is_sent_to_sign_in_and_back(client: Client, db: Any, name: str) -> None:
    answer = client.get(f"/{name}/?a=1")
    assert answer.status_code == 302
    assert answer["Location"] == f"{LOGIN}?next=%2F{name}%2F%3Fa%3D1"


def test_a_visitor_sees_what_is_public(client: Client, db: Any) -> None:
    assert client.get("/public/").status_code == 200


def test_a_visitor_with_htmx_is_told_in_the_way_that_htmx_follows(client: Client, db: Any) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/deployments/7/?x=1"}
    answer = client.post("/member/", headers=headers)
    assert answer.status_code == 200
    assert answer["HX-Redirect"] == f"{LOGIN}?next=%2Fdeployments%2F7%2F%3Fx%3D1"


def test_a_visitor_is_never_sent_back_to_another_site(client: Client, db: Any) -> None:
    answer = client.post("/member/", headers={"Referer": "https://evil.example/"})
    assert answer["Location"] == LOGIN


def test_an_event_stream_is_refused_in_words(client: Client, db: Any) -> None:
    assert client.get("/member/", headers={"Accept": "text/event-stream"}).status_code == 401


def test_a_member_without_a_factor_may_look(viewer: User) -> None:
    assert browser(viewer, second_factor=False).get("/member/").status_code == 200


def test_a_member_with_a_factor_gives_the_code_first(viewer: User) -> None:
    enroll(viewer)
    client = Client()
    client.force_login(viewer)
    answer = client.get("/member/")
    assert answer["Location"] == "/account/step-up/?next=%2Fmember%2F"
    assert client.get("/identified/").status_code == 200


def test_where_everybody_needs_a_factor_nothing_is_seen_before_it_is_set_up(
    viewer: User, settings: Any
) -> None:
    settings.SECOND_FACTOR_FOR_ALL = True
    client = browser(viewer, second_factor=False)
    for address in ("/member/", "/account/", "/deployments/"):
        assert client.get(address)["Location"].startswith("/account/factor/?next="), address
    page = client.get("/account/factor/?next=%2Fmember%2F").content.decode()
    assert "Everybody here has a second factor" in page
    assert client.get("/account/passkeys/new/").status_code == 200

    answer = client.post("/account/factor/", {"code": current_code(viewer), "next": "/member/"})
    assert "recovery codes" in answer.content.decode()
    assert client.get("/member/").status_code == 200


def test_who_has_no_factor_is_sent_to_set_it_up_and_back(viewer: User) -> None:
    client = browser(viewer, second_factor=False)
    answer = client.get("/enrolled/")
    assert answer["Location"] == "/account/factor/?next=%2Fenrolled%2F"
    assert "Set it up now" in client.get(answer["Location"]).content.decode()


def test_who_signed_in_with_a_recovery_code_may_look_but_not_act(dba: User) -> None:
    client = browser(dba)
    SignIn.objects.update(second_factor=SecondFactor.RECOVERY_CODE)
    session = client.session
    del session["otp_device_id"]
    session.save()
    assert client.get("/member/").status_code == 200
    assert client.get("/operator/")["Location"].startswith("/account/step-up/")


@pytest.mark.parametrize("name", ["operator", "approver", "administrator"])
def test_without_the_permission_it_is_refused_and_written_down(viewer: User, name: str) -> None:
    answer = browser(viewer).post(f"/{name}/")
    assert answer.status_code == 403
    assert "which you do not have" in answer.content.decode()
    refused = Entry.objects.first()
    assert (refused.action, refused.actor, refused.data["permission"]) == ("access.denied", viewer, name)


def test_who_lacks_the_permission_is_not_asked_to_enrol_first(viewer: User) -> None:
    assert browser(viewer, second_factor=False).get("/operator/").status_code == 403


def test_with_the_permission_and_a_code_it_is_done(dba: User, administrator: User) -> None:
    assert browser(dba).post("/operator/").status_code == 200
    assert browser(administrator).post("/operator/").status_code == 200
    assert browser(administrator).post("/administrator/").status_code == 200


def test_an_asynchronous_view_is_guarded_alike(dba: User, viewer: User) -> None:
    assert browser(dba).get("/async/").content == b"async seen"
    assert browser(viewer).get("/async/").status_code == 403
    assert Client().get("/async/").status_code == 302


def test_the_same_holds_on_an_asynchronous_server(dba: User) -> None:
    asynchronous = AsyncClient()
    get = async_to_sync(asynchronous.get)
    assert get("/async/").status_code == 302
    asynchronous.cookies = browser(dba).cookies
    assert get("/async/").content == b"async seen"
    SignIn.objects.update(ended_at=timezone.now())
    assert get("/async/").status_code == 302


def test_a_code_that_is_not_fresh_is_asked_for_again(dba: User, settings: Any) -> None:
    client = browser(dba)
    assert client.get("/fresh/").status_code == 200
    long_ago = timezone.now() - dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS + 1)
    SignIn.objects.update(code_given_at=long_ago)
    assert client.get("/fresh/")["Location"] == "/account/step-up/?next=%2Ffresh%2F"


def test_a_press_that_needs_a_fresh_code_comes_back_to_the_page_of_the_button(dba: User) -> None:
    client = browser(dba, code=False)
    answer = client.post("/fresh/", headers={"Referer": "http://testserver/operator/?page=2"})
    assert answer["Location"] == "/account/step-up/?next=%2Foperator%2F%3Fpage%3D2"


def test_a_view_carries_one_policy() -> None:
    with pytest.raises(TypeError, match="exactly one"):
        policies.member(policies.public(page))
    with pytest.raises(TypeError, match="below the policy"):
        policies.step_up(policies.operator(page))
    assert policies.operator(policies.step_up(page)).policy == "operator"  # type: ignore[attr-defined]
