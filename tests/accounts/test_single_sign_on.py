"""Single sign-on and reauthentication with a real provider."""

from __future__ import annotations

import datetime as dt
import html
import time
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.test import Client
from django.utils import timezone

from deployctl import audit
from deployctl.accounts import sso_links
from deployctl.accounts.models import Reauthentication, SignIn, User
from deployctl.accounts.testing import current_code, enroll, sign_in
from deployctl.audit import Action, Machine
from deployctl.audit.models import Entry
from deployctl.system_checks import single_sign_on_is_usable
from tests.accounts.provider import Provider, authorization_parameters

ABOUT = "d" * 64


@pytest.fixture
def subject(provider: Provider, dba: User) -> str:
    """Return Dana's subject identifier at the provider, which has verified her address."""
    provider.set_claims("dana-1", email="Dana.Baker@example.org", email_verified=True, name="Dana Baker")
    return "dana-1"


def text_of(response: Any) -> str:
    return html.unescape(response.content.decode())


def test_without_a_provider_single_sign_on_is_unavailable(client: Client) -> None:
    assert "Sign in with" not in text_of(client.get("/account/login/"))
    assert "isn't set up here" in text_of(client.post("/account/sso/"))
    assert "isn't set up here" in text_of(client.get("/account/sso/sso/callback/"))


def test_the_first_sign_in_links_the_person(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    assert "Sign in with Acme" in text_of(client.get("/account/login/"))
    response = provider.sign_in(client, subject, "/account/")
    assert response["Location"] == "/account/"
    assert ">Sessions</h2>" in text_of(client.get("/account/"))
    assert SignIn.objects.get().method_label == "Single sign-on only"
    linked = Entry.objects.filter(action="person.linked").get()
    assert (linked.subject, linked.data["sub"]) == ("Dana Baker", "dana-1")
    # Later sign-ins use the subject identifier, whatever the e-mail address.
    provider.set_claims("dana-1", email="new@example.org", email_verified=False)
    again = Client()
    provider.sign_in(again, subject)
    assert again.get("/account/").status_code == 200
    assert SocialAccount.objects.get().user == dba


def test_the_authorization_request_uses_code_flow_with_pkce_and_nonce(
    client: Client, provider: Provider, db: Any
) -> None:
    parameters = authorization_parameters(client.post("/account/sso/"))
    assert parameters["response_type"] == "code"
    assert parameters["code_challenge_method"] == "S256"
    assert "openid" in parameters["scope"].split()
    assert len(parameters["nonce"]) > 20
    assert len(parameters["state"]) > 10


def test_single_sign_on_still_needs_the_second_factor(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    enroll(dba)
    assert provider.sign_in(client, subject)["Location"] == "/account/login/code/"
    assert client.get("/account/").status_code == 302
    client.post("/account/login/code/", {"code": current_code(dba)})
    assert client.get("/account/").status_code == 200
    assert SignIn.objects.get().method_label == "Single sign-on and one-time code"


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"email": "dana.baker@example.org", "email_verified": False}, "hasn't verified"),
        ({"email": "dana.baker@example.org"}, "hasn't verified"),
        ({"email_verified": True}, "hasn't verified"),
        ({"email": "nobody@example.org", "email_verified": True}, "There is no account with"),
    ],
)
def test_unverified_or_unknown_addresses_are_denied(
    client: Client,
    provider: Provider,
    dba: User,
    claims: dict[str, Any],
    sentence: str,
) -> None:
    provider.set_claims("unknown", **claims)
    response = provider.sign_in(client, "unknown")
    assert response.status_code == 403
    assert sentence in text_of(response)
    assert client.get("/account/").status_code == 302
    assert sentence in Entry.objects.get(action="single_sign_on.denied").data["reason"]
    assert not SocialAccount.objects.exists()


def test_a_disabled_person_is_denied_whether_linked_or_not(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert "is disabled" in text_of(provider.sign_in(client, subject))
    User.objects.filter(pk=dba.pk).update(is_active=True)
    provider.sign_in(client, subject)
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert "is disabled" in text_of(provider.sign_in(Client(), subject))
    assert client.get("/account/").status_code == 302


def test_an_account_is_linked_to_one_subject_identifier(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    provider.sign_in(client, subject)
    provider.set_claims("dana-2", email="dana.baker@example.org", email_verified=True)
    assert "another account at Acme" in text_of(provider.sign_in(Client(), "dana-2"))


def link_at_another_issuer(user: User, data: dict[str, str]) -> None:
    """Link a person as another issuer would have."""
    SocialAccount.objects.create(user=user, provider="sso", uid="dana-1")
    with transaction.atomic():
        audit.append(Action.PERSON_LINKED, by=Machine("test"), subject=user, data=data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"issuer": "https://former.example", "sub": "dana-1"}, "was linked at https://former.example"),
        ({"issuer": "https://former.example", "sub": "1"}, "was linked at an unknown provider"),
    ],
)
def test_a_link_to_another_issuer_is_denied_until_it_is_removed(
    client: Client,
    provider: Provider,
    cto: User,
    dba: User,
    subject: str,
    data: dict[str, str],
    message: str,
) -> None:
    link_at_another_issuer(cto, data)
    denied = provider.sign_in(client, subject)
    assert (denied.status_code, message in text_of(denied)) == (403, True)
    assert client.get("/account/").status_code == 302
    entry = Entry.objects.get(action="single_sign_on.denied")
    assert entry.subject == cto.name
    sso_links.unlink(cto, by=Machine("test"))
    provider.sign_in(client, subject)
    assert SocialAccount.objects.get().user == dba
    assert client.get("/account/").status_code == 200


def test_reauthentication_at_another_issuer_is_denied(
    client: Client, provider: Provider, dba: User, subject: str
) -> None:
    link_at_another_issuer(dba, {"issuer": "https://former.example", "sub": "dana-1"})
    sign_in(client, dba)
    provider.set_claims("dana-1", auth_time=int(time.time()))
    denied = client.get(provider.authorize(start_reauthentication(client), "dana-1"))
    assert "was linked at https://former.example" in text_of(denied)
    assert not Reauthentication.objects.exists()


def test_people_of_a_listed_domain_are_added_as_viewers(
    client: Client,
    provider: Provider,
    settings: Any,
    db: Any,
) -> None:
    settings.OIDC_DOMAINS = ["acme.example"]
    provider.set_claims("new", email="new@acme.example", email_verified=True, name="Nell Ewcomer")
    provider.set_claims("sub", email="new@evil.acme.example", email_verified=True)
    assert "There is no account with" in text_of(provider.sign_in(Client(), "sub"))
    provider.sign_in(client, "new")
    added = User.objects.get(email="new@acme.example")
    assert (added.name, added.permissions, added.has_usable_password()) == (
        "Nell Ewcomer",
        frozenset(),
        False,
    )
    assert client.get("/account/").status_code == 200


def test_an_invalid_name_from_the_provider_is_cleaned(
    client: Client, provider: Provider, settings: Any, db: Any
) -> None:
    settings.OIDC_DOMAINS = ["acme.example"]
    provider.set_claims(
        "new", email="new@acme.example", email_verified=True, name="Nell\u202e\r\nEwcomer\u200b"
    )
    provider.set_claims("blank", email="blank@acme.example", email_verified=True, name="\u200b\u3164")
    provider.sign_in(client, "new")
    provider.sign_in(Client(), "blank")
    assert User.objects.get(email="new@acme.example").name == "Nell Ewcomer"
    assert User.objects.get(email="blank@acme.example").name == "blank@acme.example"
    assert client.get("/account/").status_code == 200


def test_a_callback_works_once_and_only_in_the_same_browser(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    callback_url = provider.authorize(client.post("/account/sso/"), subject)
    another_client = Client()
    assert "wasn't requested in this browser" in text_of(another_client.get(callback_url))
    assert another_client.get("/account/").status_code == 302
    client.get(callback_url)
    client.post("/account/logout/")
    assert "was used before" in text_of(client.get(callback_url))
    assert client.get("/account/").status_code == 302


def test_a_code_from_another_browser_is_rejected(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    """Use a code in our callback that was issued to another browser, whose nonce and PKCE differ."""
    theirs = provider.authorize(Client().post("/account/sso/"), subject)
    mine = provider.authorize(client.post("/account/sso/"), subject)
    stolen = theirs.partition("code=")[2].partition("&")[0]
    own = mine.partition("code=")[2].partition("&")[0]
    response = client.get(mine.replace(own, stolen))
    assert response.status_code in {403, 409}
    assert client.get("/account/").status_code == 302


def test_cancelling_at_the_provider_shows_a_message(client: Client, provider: Provider, db: Any) -> None:
    state = authorization_parameters(client.post("/account/sso/"))["state"]
    response = client.get(f"/account/sso/sso/callback/?error=access_denied&state={state}")
    assert "at Acme was cancelled" in text_of(response)


def test_an_unreachable_provider_shows_a_message(
    client: Client,
    provider: Provider,
    subject: str,
    settings: Any,
) -> None:
    callback_url = provider.authorize(client.post("/account/sso/"), subject)
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    for response in (client.post("/account/sso/"), client.get(callback_url)):
        assert response.status_code == 409
        assert "Acme couldn't confirm your identity" in text_of(response)


def test_single_sign_on_never_redirects_to_another_site(
    client: Client,
    provider: Provider,
    dba: User,
    subject: str,
) -> None:
    assert provider.sign_in(client, subject, "https://evil.example/")["Location"] == "/"


# --- Reauthentication ---------------------------------------------------------------------------------


@pytest.fixture
def sso_user(client: Client, dba: User, provider: Provider, subject: str) -> User:
    """Return Dana, signed in without a password here."""
    provider.sign_in(Client(), subject)
    dba.set_unusable_password()
    dba.save()
    sign_in(client, dba)
    return dba


def start_reauthentication(client: Client) -> Any:
    return client.post("/account/sso/reauthentication/", {"about": ABOUT, "next": "/account/"})


def test_a_reauthentication_is_requested_and_stored(
    client: Client,
    provider: Provider,
    sso_user: User,
) -> None:
    provider.set_claims("dana-1", auth_time=int(time.time()))
    redirect = start_reauthentication(client)
    parameters = authorization_parameters(redirect)
    assert (parameters["prompt"], parameters["max_age"]) == ("login", "0")
    response = client.get(provider.authorize(redirect, "dana-1"))
    assert response["Location"] == "/account/"
    assert client.get("/account/").status_code == 200
    assert Reauthentication.objects.usable(sso_user, ABOUT).count() == 1
    assert Reauthentication.objects.usable(sso_user, "e" * 64).count() == 0
    assert Entry.objects.first().data["digest"] == ABOUT


@pytest.mark.parametrize("auth_time", ["of late", -3600, 3600, 10**30])
def test_a_reauthentication_with_an_invalid_time_is_denied(
    client: Client,
    provider: Provider,
    sso_user: User,
    auth_time: Any,
) -> None:
    claim = int(time.time()) + auth_time if isinstance(auth_time, int) else auth_time
    provider.set_claims("dana-1", auth_time=claim)
    response = client.get(provider.authorize(start_reauthentication(client), "dana-1"))
    assert "didn't ask you to sign in again" in text_of(response)
    assert not Reauthentication.objects.exists()


def test_a_reauthentication_by_another_person_is_denied(
    client: Client,
    provider: Provider,
    sso_user: User,
    cto: User,
) -> None:
    now = int(time.time())
    provider.set_claims("cora", email="cora.tolland@example.org", email_verified=True, auth_time=now)
    for _ in range(2):
        callback_url = provider.authorize(start_reauthentication(client), "cora")
        assert "Somebody other than Dana Baker" in text_of(client.get(callback_url))
        provider.sign_in(Client(), "cora")
    assert not Reauthentication.objects.exists()
    assert client.get("/account/").status_code == 200


def test_a_reauthentication_after_a_change_of_person_is_denied(
    client: Client,
    provider: Provider,
    sso_user: User,
    cto: User,
) -> None:
    provider.set_claims("dana-1", auth_time=int(time.time()))
    callback_url = provider.authorize(start_reauthentication(client), "dana-1")
    session = client.session
    states = session["socialaccount_states"]
    sign_in(client, cto)
    session = client.session
    session["socialaccount_states"] = states
    session.save()
    assert "no longer signed in here as the person who started this" in text_of(client.get(callback_url))
    assert not Reauthentication.objects.exists()


def test_a_reauthentication_expires_and_is_used_once(sso_user: User) -> None:
    now = timezone.now()
    made = Reauthentication.objects.create(user=sso_user, provider="Acme", about=ABOUT, authenticated_at=now)
    assert Reauthentication.objects.use(sso_user, ABOUT)
    assert not Reauthentication.objects.use(sso_user, ABOUT)
    Reauthentication.objects.filter(pk=made.pk).update(used_at=None, at=now - dt.timedelta(minutes=6))
    assert not Reauthentication.objects.use(sso_user, ABOUT)


# --- Settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("issuer", "secret", "found"),
    [
        ("", "", []),
        ("https://id.example", "s", []),
        ("http://127.0.0.1:9400", "s", []),
        ("http://id.example", "s", ["deployctl.E003"]),
        ("https://id.example", "", ["deployctl.E004"]),
    ],
)
def test_unusable_settings_are_reported_by_the_system_check(
    settings: Any, issuer: str, secret: str, found: list[str]
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = issuer, "deployctl", secret
    assert [message.id for message in single_sign_on_is_usable()] == found
