"""Signing in with a password and a second factor, audit entries and alerts."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from redis.exceptions import RedisError

from deployctl.accounts.models import SignIn, TotpFactor, User
from deployctl.accounts.tasks import send_security_emails
from deployctl.accounts.testing import current_code, enroll, sign_in, wrong_code
from deployctl.audit.models import Entry, entry
from tests.clock import Clock
from tests.people import PASSWORD

pytestmark = pytest.mark.urls("tests.accounts.pages")


def give_password(client: Client, user: User, password: str = PASSWORD, next_page: str = "/member/") -> Any:
    return client.post("/account/login/", {"login": user.email, "password": password, "next": next_page})


def mistype_codes(client: Client, user: User, times: int) -> None:
    for _ in range(times):
        page = client.post("/account/step-up/", {"code": wrong_code(user)})
        assert "The code is wrong." in page.content.decode()
        TotpFactor.objects.update(throttling_failure_timestamp=None)


@pytest.fixture
def audit_by_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give audit entries the time of the stopped clock instead of the database's."""
    next_place = entry._lock_chain
    monkeypatch.setattr(entry, "_lock_chain", lambda: (*next_place()[:2], clock()))


def test_people_without_a_second_factor_sign_in_with_a_password(client: Client, viewer: User) -> None:
    response = give_password(client, viewer)
    assert response["Location"] == "/member/"
    assert client.get("/member/").status_code == 200
    entry = Entry.objects.first()
    assert (entry.action, entry.actor, entry.data["how"]) == ("session.started", viewer, "Password only")


def test_the_email_address_is_case_insensitive(client: Client, viewer: User) -> None:
    viewer.email = viewer.email.upper()
    assert give_password(client, viewer)["Location"] == "/member/"


def test_a_wrong_password_is_rejected_and_audited(client: Client, viewer: User) -> None:
    response = give_password(client, viewer, "wrong")
    assert "The e-mail address or the password is wrong." in response.content.decode()
    entry = Entry.objects.first()
    assert (entry.action, entry.subject) == ("password.rejected", "Vi Ewing")


def test_an_unknown_email_address_is_not_stored(client: Client, viewer: User) -> None:
    client.post("/account/login/", {"login": "my.secret@example.org", "password": "x"})
    entry = Entry.objects.first()
    assert "secret" not in f"{entry.subject}{entry.actor_name}{entry.data}"


def test_guessing_passwords_is_rate_limited(client: Client, viewer: User) -> None:
    for _ in range(6):
        response = give_password(client, viewer, "wrong")
    assert "Too many failed attempts" in response.content.decode()
    assert "Too many failed attempts" in give_password(client, viewer).content.decode()


@pytest.mark.fault(25)
def test_no_page_opens_before_the_second_factor(client: Client, dba: User) -> None:
    enroll(dba)
    assert give_password(client, dba)["Location"] == "/account/login/code/"
    assert client.get("/member/")["Location"].startswith("/account/login/")
    before = client.session.session_key
    response = client.post("/account/login/code/", {"code": current_code(dba)})
    assert response["Location"] == "/member/"
    assert client.get("/member/").status_code == 200
    assert client.get("/operator/").status_code == 200
    assert client.get("/fresh/").status_code == 200
    assert client.session.session_key != before


def test_a_wrong_code_does_not_sign_in(client: Client, dba: User) -> None:
    enroll(dba)
    give_password(client, dba)
    code = wrong_code(dba)
    response = client.post("/account/login/code/", {"code": f"{code[:3]} {code[3:]}"})
    assert response.status_code == 422
    assert "The code is wrong" in response.content.decode()
    assert client.get("/member/").status_code == 302
    assert not SignIn.objects.exists()


def test_the_code_page_redirects_to_sign_in_without_a_password(client: Client, db: Any) -> None:
    assert client.get("/account/login/code/")["Location"] == "/account/login/"


def test_a_recovery_code_signs_in_once(client: Client, dba: User) -> None:
    from django.db import transaction

    from deployctl.accounts.models import RecoveryCode

    enroll(dba)
    with transaction.atomic():
        code = RecoveryCode.objects.renew(dba)[0]
    give_password(client, dba)
    response = client.post("/account/login/code/?with=recovery", {"code": code.upper().replace("-", " ")})
    assert response["Location"] == "/member/"
    assert "9 recovery codes left" in client.get("/account/").content.decode()
    assert client.get("/operator/")["Location"].startswith("/account/step-up/")

    other = Client()
    give_password(other, dba)
    response = other.post("/account/login/code/?with=recovery", {"code": code})
    assert "isn&#x27;t one of your unused recovery codes" in response.content.decode()


@pytest.mark.fault(25)
def test_signing_in_changes_the_session_id(client: Client, viewer: User, seen: Callable[[str], None]) -> None:
    client.get("/account/login/")
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    client.cookies["deployctl_session"] = str(before)
    give_password(client, viewer)
    assert client.session.session_key != before
    seen("new session ID after the password")


def test_a_disabled_person_sees_that_the_account_is_disabled(
    client: Client, viewer: User, administrator: User
) -> None:
    viewer.disable(by=administrator)
    assert give_password(client, viewer)["Location"] == "/account/inactive/"
    assert "disabled" in client.get("/account/inactive/").content.decode()


def test_signing_out_ends_the_sign_in_and_is_audited(client: Client, viewer: User) -> None:
    give_password(client, viewer)
    client.post("/account/logout/")
    assert client.get("/member/").status_code == 302
    assert SignIn.objects.get().ended_because == "signed out"
    assert Entry.objects.first().action == "session.ended"


def test_sign_up_is_closed(client: Client, db: Any) -> None:
    assert "Administrators add people" in client.get("/account/signup/").content.decode()
    response = client.post(
        "/account/signup/", {"email": "me@example.org", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert "Administrators add people" in response.content.decode()
    assert not User.objects.exists()


def test_sign_in_never_redirects_to_another_site(client: Client, viewer: User) -> None:
    assert give_password(client, viewer, next_page="https://evil.example/")["Location"] == "/"


def test_a_password_is_reset_by_email(client: Client, viewer: User, mailoutbox: Any) -> None:
    import re

    client.post("/account/password/reset/", {"email": viewer.email})
    [mail] = mailoutbox
    link = re.search(r"http://testserver(\S+)", mail.body).group(1)  # type: ignore[union-attr]
    form = client.get(link)["Location"]
    new = "another horse, another staple"
    response = client.post(form, {"password1": new, "password2": new})
    assert response["Location"].endswith("/password/reset/key/done/")
    assert give_password(client, viewer, new)["Location"] == "/member/"
    assert "no longer works" in Client().get(link, follow=True).content.decode()


def test_a_reset_for_an_unknown_address_looks_the_same(client: Client, viewer: User, mailoutbox: Any) -> None:
    known = client.post("/account/password/reset/", {"email": viewer.email})
    unknown = client.post("/account/password/reset/", {"email": "nobody@example.org"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


@pytest.mark.fault(25)
def test_changing_the_password_ends_other_sessions(
    client: Client, viewer: User, seen: Callable[[str], None]
) -> None:
    other = Client()
    give_password(client, viewer)
    give_password(other, viewer)
    new = "another horse, another staple"
    response = client.post(
        "/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert response.status_code == 302
    assert client.get("/member/").status_code == 200
    assert other.get("/member/").status_code == 302
    assert Entry.objects.filter(action="password.changed").exists()
    seen("a new password ended the other session, not this one")


def test_without_redis_passwords_are_not_checked(
    client: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise RedisError

    monkeypatch.setattr("django.core.cache.backends.redis.RedisCacheClient.get", unreachable)
    monkeypatch.setattr("django.core.cache.backends.redis.RedisCacheClient.add", unreachable)
    response = give_password(client, viewer)
    assert response.status_code == 503
    assert "Redis is unreachable" in response.content.decode()


# --- Alerts about failures ----------------------------------------------------------------------------


def test_the_third_failure_alerts_by_email_and_at_the_next_sign_in(
    client: Client, viewer: User, mailoutbox: Any, django_capture_on_commit_callbacks: Any
) -> None:
    alerts = []
    for _ in range(4):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(client, viewer, "wrong")
        alerts.append(len(callbacks))
    assert alerts == [0, 0, 1, 0]
    send_security_emails(Entry.objects.filter(action="password.rejected").order_by("sequence")[2].sequence)
    [message] = mailoutbox
    assert (message.to, message.subject) == (
        [viewer.email],
        "deployctl: Repeated failed attempts with your password",
    )
    assert "visitor from 127.0.0.1" in message.body

    page = give_password(client, viewer, next_page="/account/")
    warning = "a wrong password or code was entered 4 times for your account"
    assert warning in client.get(page["Location"]).content.decode()
    client.post("/account/logout/")
    page = give_password(client, viewer, next_page="/account/")
    assert warning not in client.get(page["Location"]).content.decode()


def test_wrong_codes_after_the_right_password_alert_the_person(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    give_password(client, dba)
    alerts = []
    for _ in range(3):
        with django_capture_on_commit_callbacks() as callbacks:
            client.post("/account/login/code/", {"code": wrong_code(dba)})
        alerts.append(len(callbacks))
        TotpFactor.objects.update(throttling_failure_timestamp=None)
    assert alerts == [0, 0, 1]


@pytest.mark.usefixtures("clock")
def test_a_throttled_attempt_sends_no_further_alert(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    give_password(client, dba)
    for _ in range(3):
        TotpFactor.objects.update(throttling_failure_timestamp=None)
        client.post("/account/login/code/", {"code": wrong_code(dba)})
    with django_capture_on_commit_callbacks() as callbacks:
        response = client.post("/account/login/code/", {"code": wrong_code(dba)})
    assert "this attempt wasn't checked" in html.unescape(response.content.decode())
    assert not callbacks


def test_wrong_step_up_codes_alert_the_person(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    sign_in(client, dba)
    with django_capture_on_commit_callbacks() as callbacks:
        mistype_codes(client, dba, 3)
    assert len(callbacks) == 1


def test_an_alert_about_codes_does_not_suppress_one_about_passwords(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    sign_in(client, dba)
    mistype_codes(client, dba, 3)
    alerts = []
    for _ in range(4):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(Client(), dba, "wrong")
        alerts.append(len(callbacks))
    assert alerts == [0, 0, 1, 0]


def test_alerts_are_limited_to_one_per_hour(
    client: Client,
    viewer: User,
    clock: Clock,
    audit_by_the_clock: None,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # They use the real clock.
    alerts = []
    for _ in range(9):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(client, viewer, "wrong")
        alerts.append(len(callbacks))
        assert clock.frozen_at is not None
        clock.frozen_at += dt.timedelta(minutes=25)
    assert alerts == [0, 0, 1, 0, 0, 1, 0, 0, 1]


def test_failures_for_an_unknown_address_alert_nobody(
    client: Client, viewer: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(4):
            client.post("/account/login/", {"login": "nobody@example.org", "password": "x"})
    assert not callbacks
