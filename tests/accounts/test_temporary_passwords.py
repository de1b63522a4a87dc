"""Temporary passwords: expiry, replacement and restrictions."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from deployctl import audit
from deployctl.accounts.models import SignIn, TotpFactor, User
from deployctl.accounts.models.sign_in import FirstFactor
from deployctl.accounts.roles import Permission
from deployctl.accounts.testing import sign_in
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from tests.people import PASSWORD

pytestmark = pytest.mark.urls("tests.accounts.pages")

OWN = "another horse, another staple"
CHANGE = "/account/password/change/"


@pytest.fixture
def newcomer(db: Any) -> User:
    person: User = User.objects.create_person(
        "nell@example.org", "Nell New", PASSWORD, by=Machine("test"), is_temporary=True
    )
    return person


def give_password(client: Client, password: str) -> Any:
    return client.post(
        "/account/login/", {"login": "nell@example.org", "password": password, "next": "/member/"}
    )


def replace(client: Client, old: str, new: str) -> Any:
    form = {"oldpassword": old, "password1": new, "password2": new, "next": "/member/"}
    return client.post(CHANGE, form)


def test_a_temporary_password_only_opens_the_page_that_replaces_it(client: Client, newcomer: User) -> None:
    give_password(client, PASSWORD)
    response = client.get("/member/")
    assert response["Location"] == f"{CHANGE}?next=%2Fmember%2F"
    page = client.get(response["Location"]).content.decode()
    assert "You signed in with a temporary password" in page
    assert client.get("/account/")["Location"].startswith(CHANGE)

    assert replace(client, PASSWORD, OWN)["Location"] == "/member/"
    assert client.get("/member/").status_code == 200
    newcomer.refresh_from_db()
    assert newcomer.temporary_password_until is None


def test_a_temporary_password_must_change(client: Client, newcomer: User) -> None:
    give_password(client, PASSWORD)
    response = replace(client, PASSWORD, PASSWORD)
    assert "Choose a different one." in response.content.decode()
    assert client.get("/member/").status_code == 302


def test_a_temporary_password_expires_after_three_days(client: Client, newcomer: User) -> None:
    assert newcomer.temporary_password_until is not None
    left = newcomer.temporary_password_until - timezone.now()
    assert dt.timedelta(days=2, hours=23) < left <= dt.timedelta(days=3)
    User.objects.update(temporary_password_until=timezone.now() - dt.timedelta(seconds=1))

    response = give_password(client, PASSWORD)
    assert response.status_code == 403
    assert "expired after 3 days" in response.content.decode()
    assert client.get("/member/")["Location"].startswith("/account/login/")
    entry = Entry.objects.first()
    assert (entry.action, entry.subject) == ("password.rejected", "Nell New")
    assert "3 days" not in give_password(client, "wrong").content.decode(), (
        "shown only with the right password"
    )


def test_an_expired_temporary_password_is_not_counted_as_a_failure(
    client: Client, newcomer: User, django_capture_on_commit_callbacks: Any
) -> None:
    User.objects.update(temporary_password_until=timezone.now() - dt.timedelta(seconds=1))
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(3):
            assert give_password(client, PASSWORD).status_code == 403
    assert not callbacks
    newcomer.change_password(OWN, by=newcomer)
    page = give_password(client, OWN)
    assert "a wrong password or code was entered" not in client.get(page["Location"]).content.decode()


def test_single_sign_on_works_with_a_temporary_password(client: Client, newcomer: User) -> None:
    sign_in(client, newcomer, second_factor=False)
    assert client.get("/member/").status_code == 302
    SignIn.objects.update(first_factor=FirstFactor.SINGLE_SIGN_ON)
    assert client.get("/member/").status_code == 200


def test_changing_the_password_ends_its_temporary_state(newcomer: User) -> None:
    newcomer.change_password(OWN, by=newcomer)
    newcomer.refresh_from_db()
    assert newcomer.temporary_password_until is None


def test_a_password_shown_to_an_administrator_is_temporary(administrator: User) -> None:
    admin_client = Client()
    sign_in(admin_client, administrator)
    shown = admin_client.post(
        "/people/new/", {"email": "omar@example.org", "name": "Omar Old"}
    ).content.decode()
    assert "valid for three days" in shown
    omar: User = User.objects.get(email="omar@example.org")
    assert omar.temporary_password_until is not None
    page = admin_client.get(f"/people/{omar.pk}/").content.decode()
    assert "hasn’t replaced the temporary password yet" in page


FACTOR_PAGES = ["/account/factor/", "/account/passkeys/new/", "/account/passkeys/registration/"]


@pytest.mark.parametrize("for_all", [False, True])
def test_a_temporary_password_must_be_replaced_before_enrollment(
    client: Client, newcomer: User, settings: Any, *, for_all: bool
) -> None:
    settings.SECOND_FACTOR_FOR_ALL = for_all
    newcomer.grant(Permission.OPERATOR, by=Machine("test"))
    give_password(client, PASSWORD)
    for page in FACTOR_PAGES:
        assert client.post(page)["Location"].startswith(CHANGE)
    assert not TotpFactor.objects.filter(user=newcomer).exists()
    assert client.get("/operator/")["Location"].startswith(CHANGE)
    assert client.get(CHANGE).status_code == 200

    assert replace(client, PASSWORD, OWN).status_code == 302
    assert client.get("/operator/")["Location"].startswith("/account/factor/")
    assert client.get("/account/factor/").status_code == 200


@pytest.fixture
def admin_client(administrator: User) -> Client:
    browser = Client()
    sign_in(browser, administrator)
    return browser


def expire() -> None:
    User.objects.exclude(temporary_password_until=None).update(
        temporary_password_until=timezone.now() - dt.timedelta(seconds=1)
    )


def test_an_administrator_sets_a_new_temporary_password(
    client: Client, newcomer: User, admin_client: Client, administrator: User
) -> None:
    expire()
    assert "user password nell@example.org" in give_password(client, PASSWORD).content.decode()
    page = admin_client.get(f"/people/{newcomer.pk}/").content.decode()
    assert "It expired on" in page
    assert "Set new temporary password" in page

    shown = admin_client.post(f"/people/{newcomer.pk}/temporary-password/")
    assert "no-store" in shown["Cache-Control"]
    new = re.search(r'id="temporary-password">([^<]+)<', shown.content.decode()).group(1)  # type: ignore[union-attr]
    newcomer.refresh_from_db()
    assert newcomer.check_password(new)
    assert newcomer.temporary_password_until > timezone.now()  # type: ignore[operator]
    entry = Entry.objects.about(newcomer).filter(action="password.changed").get()
    assert entry.actor_id == administrator.pk
    assert new not in admin_client.get(f"/people/{newcomer.pk}/").content.decode()
    assert give_password(client, new).status_code == 302
    assert client.get("/member/")["Location"].startswith(CHANGE)


def require_refused(admin_client: Client, person: User) -> None:
    before = User.objects.get(pk=person.pk).password
    assert "Set new temporary password" not in admin_client.get(f"/people/{person.pk}/").content.decode()
    response = admin_client.post(f"/people/{person.pk}/temporary-password/")
    assert response.status_code == 409
    assert "Nothing was changed" in response.content.decode()
    assert User.objects.get(pk=person.pk).password == before


def test_no_temporary_password_after_a_person_chose_their_own(newcomer: User, admin_client: Client) -> None:
    newcomer.change_password(OWN, by=newcomer)
    require_refused(admin_client, newcomer)
    newcomer.change_password(PASSWORD, by=Machine("command line"), is_temporary=True)
    require_refused(admin_client, newcomer)
    page = admin_client.get(f"/people/{newcomer.pk}/").content.decode()
    assert "deployctl user password nell@example.org" in page


def test_no_temporary_password_after_single_sign_on(newcomer: User, admin_client: Client) -> None:
    audit.append(Action.PERSON_LINKED, by=Machine("test"), subject=newcomer, data={"issuer": "", "sub": "1"})
    require_refused(admin_client, newcomer)


def test_no_temporary_password_for_a_disabled_person(
    newcomer: User, admin_client: Client, administrator: User
) -> None:
    newcomer.disable(by=administrator)
    require_refused(admin_client, newcomer)
