"""Policies: who can open which page, and how others are redirected."""

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
def test_a_visitor_is_redirected_to_sign_in_and_back(client: Client, db: Any, name: str) -> None:
    response = client.get(f"/{name}/?a=1")
    assert response.status_code == 302
    assert response["Location"] == f"{LOGIN}?next=%2F{name}%2F%3Fa%3D1"


def test_a_visitor_can_open_public_pages(client: Client, db: Any) -> None:
    assert client.get("/public/").status_code == 200


def test_a_visitor_with_htmx_gets_an_htmx_redirect(client: Client, db: Any) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/deployments/7/?x=1"}
    response = client.post("/member/", headers=headers)
    assert response.status_code == 200
    assert response["HX-Redirect"] == f"{LOGIN}?next=%2Fdeployments%2F7%2F%3Fx%3D1"


def test_a_visitor_is_never_redirected_to_another_site(client: Client, db: Any) -> None:
    response = client.post("/member/", headers={"Referer": "https://evil.example/"})
    assert response["Location"] == LOGIN


def test_an_event_stream_without_a_session_gets_401(client: Client, db: Any) -> None:
    assert client.get("/member/", headers={"Accept": "text/event-stream"}).status_code == 401


def test_a_member_without_a_second_factor_can_view(viewer: User) -> None:
    assert browser(viewer, second_factor=False).get("/member/").status_code == 200


def test_a_member_with_a_second_factor_must_use_it(viewer: User) -> None:
    enroll(viewer)
    client = Client()
    client.force_login(viewer)
    response = client.get("/member/")
    assert response["Location"] == "/account/step-up/?next=%2Fmember%2F"
    assert client.get("/identified/").status_code == 200


def test_a_required_second_factor_must_be_set_up_before_any_page(viewer: User, settings: Any) -> None:
    settings.SECOND_FACTOR_FOR_ALL = True
    client = browser(viewer, second_factor=False)
    for address in ("/member/", "/account/", "/deployments/"):
        assert client.get(address)["Location"].startswith("/account/factor/?next="), address
    page = client.get("/account/factor/?next=%2Fmember%2F").content.decode()
    assert "Everyone here needs a second factor" in page
    assert client.get("/account/passkeys/new/").status_code == 200

    response = client.post("/account/factor/", {"code": current_code(viewer), "next": "/member/"})
    assert "recovery codes" in response.content.decode()
    assert client.get("/member/").status_code == 200


def test_enrolled_pages_redirect_to_enrollment_and_back(viewer: User) -> None:
    client = browser(viewer, second_factor=False)
    response = client.get("/enrolled/")
    assert response["Location"] == "/account/factor/?next=%2Fenrolled%2F"
    assert "Set it up now" in client.get(response["Location"]).content.decode()


def test_after_a_recovery_code_people_can_view_but_not_act(dba: User) -> None:
    client = browser(dba)
    SignIn.objects.update(second_factor=SecondFactor.RECOVERY_CODE)
    session = client.session
    del session["otp_device_id"]
    session.save()
    assert client.get("/member/").status_code == 200
    assert client.get("/operator/")["Location"].startswith("/account/step-up/")


@pytest.mark.parametrize("name", ["operator", "approver", "administrator"])
def test_a_request_without_permission_is_denied_and_audited(viewer: User, name: str) -> None:
    response = browser(viewer).post(f"/{name}/")
    assert response.status_code == 403
    assert "which you don&#x27;t have" in response.content.decode()
    denied = Entry.objects.first()
    assert (denied.action, denied.actor, denied.data["permission"]) == ("access.denied", viewer, name)


def test_a_request_without_permission_is_denied_before_enrollment(viewer: User) -> None:
    assert browser(viewer, second_factor=False).get("/operator/").status_code == 403


def test_permission_and_second_factor_allow_the_request(dba: User, administrator: User) -> None:
    assert browser(dba).post("/operator/").status_code == 200
    assert browser(administrator).post("/operator/").status_code == 200
    assert browser(administrator).post("/administrator/").status_code == 200


def test_policies_work_on_async_views(dba: User, viewer: User) -> None:
    assert browser(dba).get("/async/").content == b"async seen"
    assert browser(viewer).get("/async/").status_code == 403
    assert Client().get("/async/").status_code == 302


def test_policies_work_on_an_async_server(dba: User) -> None:
    asynchronous = AsyncClient()
    get = async_to_sync(asynchronous.get)
    assert get("/async/").status_code == 302
    asynchronous.cookies = browser(dba).cookies
    assert get("/async/").content == b"async seen"
    SignIn.objects.update(ended_at=timezone.now())
    assert get("/async/").status_code == 302


def test_an_old_code_requires_a_step_up(dba: User, settings: Any) -> None:
    client = browser(dba)
    assert client.get("/fresh/").status_code == 200
    long_ago = timezone.now() - dt.timedelta(seconds=settings.DEPLOYCTL_STEP_UP_SECONDS + 1)
    SignIn.objects.update(code_given_at=long_ago)
    assert client.get("/fresh/")["Location"] == "/account/step-up/?next=%2Ffresh%2F"


def test_a_step_up_for_a_form_returns_to_the_page_of_the_form(dba: User) -> None:
    client = browser(dba, code=False)
    response = client.post("/fresh/", headers={"Referer": "http://testserver/operator/?page=2"})
    assert response["Location"] == "/account/step-up/?next=%2Foperator%2F%3Fpage%3D2"


def test_a_view_has_exactly_one_policy() -> None:
    with pytest.raises(TypeError, match="exactly one"):
        policies.member(policies.public(page))
    with pytest.raises(TypeError, match="below the policy"):
        policies.step_up(policies.operator(page))
    assert policies.operator(policies.step_up(page)).policy == "operator"  # type: ignore[attr-defined]
