"""Signing in, by password and then by code, and what is written down about it."""

from __future__ import annotations

import datetime as dt
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


def give_password(client: Client, user: User, password: str = PASSWORD, following: str = "/member/") -> Any:
    return client.post("/account/login/", {"login": user.email, "password": password, "next": following})


def mistype_codes(client: Client, user: User, times: int) -> None:
    for _ in range(times):
        page = client.post("/account/code/", {"code": wrong_code(user)})
        assert "The code is wrong." in page.content.decode()
        TotpFactor.objects.update(throttling_failure_timestamp=None)


@pytest.fixture
def audit_by_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries bear the time of the stopped clock instead of the database's."""
    next_place = entry._lock_chain
    monkeypatch.setattr(entry, "_lock_chain", lambda: (*next_place()[:2], clock()))


def test_who_has_no_factor_signs_in_by_password(client: Client, viewer: User) -> None:
    answer = give_password(client, viewer)
    assert answer["Location"] == "/member/"
    assert client.get("/member/").status_code == 200
    entry = Entry.objects.first()
    assert (entry.action, entry.actor, entry.data["how"]) == ("session.started", viewer, "Password only")


def test_the_address_is_recognised_in_any_case(client: Client, viewer: User) -> None:
    viewer.email = viewer.email.upper()
    assert give_password(client, viewer)["Location"] == "/member/"


def test_a_wrong_password_is_refused_in_words_and_written_down(client: Client, viewer: User) -> None:
    answer = give_password(client, viewer, "wrong")
    assert "The e-mail address or the password is wrong." in answer.content.decode()
    entry = Entry.objects.first()
    assert (entry.action, entry.subject) == ("password.rejected", "Vi Ewing")


def test_what_a_stranger_typed_as_address_is_not_kept(client: Client, viewer: User) -> None:
    client.post("/account/login/", {"login": "my.secret@example.org", "password": "x"})
    entry = Entry.objects.first()
    assert "secret" not in f"{entry.subject}{entry.actor_name}{entry.data}"


def test_guessing_passwords_is_slowed_down(client: Client, viewer: User) -> None:
    for _ in range(6):
        answer = give_password(client, viewer, "wrong")
    assert "Too many failed attempts" in answer.content.decode()
    assert "Too many failed attempts" in give_password(client, viewer).content.decode()


@pytest.mark.fault(25)
def test_with_a_factor_nothing_is_shown_before_the_code(client: Client, dba: User) -> None:
    enroll(dba)
    assert give_password(client, dba)["Location"] == "/account/login/code/"
    assert client.get("/member/")["Location"].startswith("/account/login/")
    before = client.session.session_key
    answer = client.post("/account/login/code/", {"code": current_code(dba)})
    assert answer["Location"] == "/member/"
    assert client.get("/member/").status_code == 200
    assert client.get("/operator/").status_code == 200
    assert client.get("/fresh/").status_code == 200
    assert client.session.session_key != before


def test_a_wrong_code_signs_nobody_in(client: Client, dba: User) -> None:
    enroll(dba)
    give_password(client, dba)
    code = wrong_code(dba)
    answer = client.post("/account/login/code/", {"code": f"{code[:3]} {code[3:]}"})
    assert answer.status_code == 422
    assert "The code is wrong" in answer.content.decode()
    assert client.get("/member/").status_code == 302
    assert not SignIn.objects.exists()


def test_the_code_page_without_a_password_leads_to_signing_in(client: Client, db: Any) -> None:
    assert client.get("/account/login/code/")["Location"] == "/account/login/"


def test_a_recovery_code_signs_in_once(client: Client, dba: User) -> None:
    from django.db import transaction

    from deployctl.accounts.models import RecoveryCode

    enroll(dba)
    with transaction.atomic():
        code = RecoveryCode.objects.renew(dba)[0]
    give_password(client, dba)
    answer = client.post("/account/login/code/?with=recovery", {"code": code.upper().replace("-", " ")})
    assert answer["Location"] == "/member/"
    assert "9 are left" in client.get("/account/").content.decode()
    assert client.get("/operator/")["Location"].startswith("/account/code/")

    other = Client()
    give_password(other, dba)
    answer = other.post("/account/login/code/?with=recovery", {"code": code})
    assert "not one of your unused recovery codes" in answer.content.decode()


@pytest.mark.fault(25)
def test_the_id_of_the_session_changes_at_signing_in(
    client: Client, viewer: User, seen: Callable[[str], None]
) -> None:
    client.get("/account/login/")
    session = client.session
    session["seen"] = True
    session.save()
    before = session.session_key
    client.cookies["deployctl_session"] = str(before)
    give_password(client, viewer)
    assert client.session.session_key != before
    seen("another id after the password")


def test_a_disabled_person_is_told_so(client: Client, viewer: User, administrator: User) -> None:
    viewer.disable(by=administrator)
    assert give_password(client, viewer)["Location"] == "/account/inactive/"
    assert "disabled" in client.get("/account/inactive/").content.decode()


def test_signing_out_ends_the_stay_and_is_written_down(client: Client, viewer: User) -> None:
    give_password(client, viewer)
    client.post("/account/logout/")
    assert client.get("/member/").status_code == 302
    assert SignIn.objects.get().ended_because == "signed out"
    assert Entry.objects.first().action == "session.ended"


def test_nobody_signs_themselves_up(client: Client, db: Any) -> None:
    assert "An administrator adds people" in client.get("/account/signup/").content.decode()
    answer = client.post(
        "/account/signup/", {"email": "me@example.org", "password1": PASSWORD, "password2": PASSWORD}
    )
    assert "An administrator adds people" in answer.content.decode()
    assert not User.objects.exists()


def test_the_next_page_is_one_of_this_site(client: Client, viewer: User) -> None:
    assert give_password(client, viewer, following="https://evil.example/")["Location"] == "/"


def test_a_password_is_reset_by_mail(client: Client, viewer: User, mailoutbox: Any) -> None:
    import re

    client.post("/account/password/reset/", {"email": viewer.email})
    [mail] = mailoutbox
    link = re.search(r"http://testserver(\S+)", mail.body).group(1)  # type: ignore[union-attr]
    form = client.get(link)["Location"]
    new = "another horse, another staple"
    answer = client.post(form, {"password1": new, "password2": new})
    assert answer["Location"].endswith("/password/reset/key/done/")
    assert give_password(client, viewer, new)["Location"] == "/member/"
    assert "does not work any more" in Client().get(link, follow=True).content.decode()


def test_asking_for_an_unknown_address_looks_the_same(client: Client, viewer: User, mailoutbox: Any) -> None:
    known = client.post("/account/password/reset/", {"email": viewer.email})
    unknown = client.post("/account/password/reset/", {"email": "nobody@example.org"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])


@pytest.mark.fault(25)
def test_a_changed_password_ends_the_other_sessions(
    client: Client, viewer: User, seen: Callable[[str], None]
) -> None:
    other = Client()
    give_password(client, viewer)
    give_password(other, viewer)
    new = "another horse, another staple"
    answer = client.post(
        "/account/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert answer.status_code == 302
    assert client.get("/member/").status_code == 200
    assert other.get("/member/").status_code == 302
    assert Entry.objects.filter(action="password.changed").exists()
    seen("a new password ended the other session and kept this one")


def test_while_attempts_cannot_be_counted_passwords_are_not_looked_at(
    client: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise RedisError

    monkeypatch.setattr("django.core.cache.backends.redis.RedisCacheClient.get", unreachable)
    monkeypatch.setattr("django.core.cache.backends.redis.RedisCacheClient.add", unreachable)
    answer = give_password(client, viewer)
    assert answer.status_code == 503
    assert "Redis cannot be reached" in answer.content.decode()


# --- Failures, told ------------------------------------------------------------------------------------


def test_the_third_failure_to_sign_in_is_told_to_the_person_by_mail_and_at_the_next_sign_in(
    client: Client, viewer: User, mailoutbox: Any, django_capture_on_commit_callbacks: Any
) -> None:
    told = []
    for _ in range(4):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(client, viewer, "wrong")
        told.append(len(callbacks))
    assert told == [0, 0, 1, 0]
    send_security_emails(Entry.objects.filter(action="password.rejected").order_by("sequence")[2].sequence)
    [message] = mailoutbox
    assert (message.to, message.subject) == (
        [viewer.email],
        "deployctl: Repeated failures with your password",
    )
    assert "visitor from 127.0.0.1" in message.body

    page = give_password(client, viewer, following="/account/")
    words = "a wrong password or code was given 4 times for your account"
    assert words in client.get(page["Location"]).content.decode()
    client.post("/account/logout/")
    page = give_password(client, viewer, following="/account/")
    assert words not in client.get(page["Location"]).content.decode()


def test_who_has_the_password_and_tries_codes_is_told_of_as_well(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    give_password(client, dba)
    told = []
    for _ in range(3):
        with django_capture_on_commit_callbacks() as callbacks:
            client.post("/account/login/code/", {"code": wrong_code(dba)})
        told.append(len(callbacks))
        TotpFactor.objects.update(throttling_failure_timestamp=None)
    assert told == [0, 0, 1]


@pytest.mark.usefixtures("clock")
def test_an_attempt_that_was_not_looked_at_is_not_told_again(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    give_password(client, dba)
    for _ in range(3):
        TotpFactor.objects.update(throttling_failure_timestamp=None)
        client.post("/account/login/code/", {"code": wrong_code(dba)})
    with django_capture_on_commit_callbacks() as callbacks:
        answer = client.post("/account/login/code/", {"code": wrong_code(dba)})
    assert "this attempt was not looked at" in answer.content.decode()
    assert not callbacks


def test_wrong_codes_in_a_session_that_may_be_taken_over_are_told_of_too(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    sign_in(client, dba)
    with django_capture_on_commit_callbacks() as callbacks:
        mistype_codes(client, dba, 3)
    assert len(callbacks) == 1


def test_who_mistypes_codes_is_told_of_passwords_that_somebody_guesses_meanwhile(
    client: Client, dba: User, django_capture_on_commit_callbacks: Any
) -> None:
    sign_in(client, dba)
    mistype_codes(client, dba, 3)
    told = []
    for _ in range(4):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(Client(), dba, "wrong")
        told.append(len(callbacks))
    assert told == [0, 0, 1, 0]


def test_who_guesses_slowly_and_steadily_fills_no_mailbox(
    client: Client,
    viewer: User,
    clock: Clock,
    audit_by_the_clock: None,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # They go by a clock of their own.
    told = []
    for _ in range(9):
        with django_capture_on_commit_callbacks() as callbacks:
            give_password(client, viewer, "wrong")
        told.append(len(callbacks))
        assert clock.stands_at is not None
        clock.stands_at += dt.timedelta(minutes=25)
    assert told == [0, 0, 1, 0, 0, 1, 0, 0, 1]


def test_failures_with_an_address_of_nobody_are_told_to_nobody(
    client: Client, viewer: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(4):
            client.post("/account/login/", {"login": "nobody@example.org", "password": "x"})
    assert not callbacks
