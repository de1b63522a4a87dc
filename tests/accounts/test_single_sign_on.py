"""Single sign-on, against a real provider: who is let in, who is not, and signing in there again."""

from __future__ import annotations

import datetime as dt
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
from tests.accounts.provider import Provider, asked_for

ABOUT = "d" * 64


@pytest.fixture
def person_there(provider: Provider, dba: User) -> str:
    """Dana's number at the provider, which vouches for her address."""
    provider.knows("dana-1", email="Dana.Baker@example.org", email_verified=True, name="Dana Baker")
    return "dana-1"


def words(answer: Any) -> str:
    return str(answer.content.decode())


def test_without_a_provider_there_is_no_button_and_no_way_in(client: Client) -> None:
    assert "Sign in with" not in words(client.get("/account/login/"))
    assert "not set up" in words(client.post("/account/sso/"))
    assert "not set up" in words(client.get("/account/sso/sso/callback/"))


def test_a_person_signs_in_and_is_linked_the_first_time(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    assert "Sign in with Acme" in words(client.get("/account/login/"))
    answer = provider.sign_in(client, person_there, "/account/")
    assert answer["Location"] == "/account/"
    assert "Where I am signed in" in words(client.get("/account/"))
    assert SignIn.objects.get().method_label == "Single sign-on only"
    linked = Entry.objects.filter(action="person.linked").get()
    assert (linked.subject, linked.data["sub"]) == ("Dana Baker", "dana-1")
    # From now on the number counts, whatever the address.
    provider.knows("dana-1", email="new@example.org", email_verified=False)
    again = Client()
    provider.sign_in(again, person_there)
    assert again.get("/account/").status_code == 200
    assert SocialAccount.objects.get().user == dba


def test_what_is_asked_of_the_provider(client: Client, provider: Provider, db: Any) -> None:
    asked = asked_for(client.post("/account/sso/"))
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert "openid" in asked["scope"].split()
    assert len(asked["nonce"]) > 20
    assert len(asked["state"]) > 10


def test_the_second_factor_stays_ours(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    enroll(dba)
    assert provider.sign_in(client, person_there)["Location"] == "/account/login/code/"
    assert client.get("/account/").status_code == 302
    client.post("/account/login/code/", {"code": current_code(dba)})
    assert client.get("/account/").status_code == 200
    assert SignIn.objects.get().method_label == "Single sign-on and one-time code"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"email": "dana.baker@example.org", "email_verified": False}, "does not vouch"),
        ({"email": "dana.baker@example.org"}, "does not vouch"),
        ({"email_verified": True}, "does not vouch"),
        ({"email": "nobody@example.org", "email_verified": True}, "There is nobody with the address"),
    ],
)
def test_who_is_not_let_in(
    client: Client,
    provider: Provider,
    dba: User,
    facts: dict[str, Any],
    sentence: str,
) -> None:
    provider.knows("stranger", **facts)
    answer = provider.sign_in(client, "stranger")
    assert answer.status_code == 403
    assert sentence in words(answer)
    assert client.get("/account/").status_code == 302
    assert sentence in Entry.objects.get(action="single_sign_on.denied").data["reason"]
    assert not SocialAccount.objects.exists()


def test_a_disabled_person_is_not_let_in_linked_or_not(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert "is disabled" in words(provider.sign_in(client, person_there))
    User.objects.filter(pk=dba.pk).update(is_active=True)
    provider.sign_in(client, person_there)
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert "is disabled" in words(provider.sign_in(Client(), person_there))
    assert client.get("/account/").status_code == 302


def test_an_address_is_linked_to_one_account_there(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    provider.sign_in(client, person_there)
    provider.knows("dana-2", email="dana.baker@example.org", email_verified=True)
    assert "another account at Acme" in words(provider.sign_in(Client(), "dana-2"))


def linked_elsewhere(user: User, data: dict[str, str]) -> None:
    """What a link made at another issuer left behind."""
    SocialAccount.objects.create(user=user, provider="sso", uid="dana-1")
    with transaction.atomic():
        audit.append(Action.PERSON_LINKED, by=Machine("test"), subject=user, data=data)


@pytest.mark.parametrize(
    ("data", "words_of_it"),
    [
        ({"issuer": "https://former.example", "sub": "dana-1"}, "linked here at https://former.example"),
        ({"issuer": "https://former.example", "sub": "1"}, "a provider that is not on record"),
    ],
)
def test_the_same_number_at_another_issuer_lets_nobody_in_until_the_link_is_forgotten(
    client: Client,
    provider: Provider,
    cto: User,
    dba: User,
    person_there: str,
    data: dict[str, str],
    words_of_it: str,
) -> None:
    linked_elsewhere(cto, data)
    refused = provider.sign_in(client, person_there)
    assert (refused.status_code, words_of_it in words(refused)) == (403, True)
    assert client.get("/account/").status_code == 302
    entry = Entry.objects.get(action="single_sign_on.denied")
    assert entry.subject == cto.name
    sso_links.unlink(cto, by=Machine("test"))
    provider.sign_in(client, person_there)
    assert SocialAccount.objects.get().user == dba
    assert client.get("/account/").status_code == 200


def test_signing_in_again_at_another_issuer_than_that_of_the_link_does_not_count(
    client: Client, provider: Provider, dba: User, person_there: str
) -> None:
    linked_elsewhere(dba, {"issuer": "https://former.example", "sub": "dana-1"})
    sign_in(client, dba)
    provider.knows("dana-1", auth_time=int(time.time()))
    refused = client.get(provider.authorize(leave(client), "dana-1"))
    assert "linked here at https://former.example" in words(refused)
    assert not Reauthentication.objects.exists()


def test_people_of_a_listed_domain_are_added_as_viewers(
    client: Client,
    provider: Provider,
    settings: Any,
    db: Any,
) -> None:
    settings.OIDC_DOMAINS = ["acme.example"]
    provider.knows("new", email="new@acme.example", email_verified=True, name="Nell Ewcomer")
    provider.knows("sub", email="new@evil.acme.example", email_verified=True)
    assert "There is nobody" in words(provider.sign_in(Client(), "sub"))
    provider.sign_in(client, "new")
    added = User.objects.get(email="new@acme.example")
    assert (added.name, added.permissions, added.has_usable_password()) == (
        "Nell Ewcomer",
        frozenset(),
        False,
    )
    assert client.get("/account/").status_code == 200


def test_a_name_of_the_provider_is_cleaned_and_locks_nobody_out(
    client: Client, provider: Provider, settings: Any, db: Any
) -> None:
    settings.OIDC_DOMAINS = ["acme.example"]
    provider.knows("new", email="new@acme.example", email_verified=True, name="Nell\u202e\r\nEwcomer\u200b")
    provider.knows("blank", email="blank@acme.example", email_verified=True, name="\u200b\u3164")
    provider.sign_in(client, "new")
    provider.sign_in(Client(), "blank")
    assert User.objects.get(email="new@acme.example").name == "Nell Ewcomer"
    assert User.objects.get(email="blank@acme.example").name == "blank@acme.example"
    assert client.get("/account/").status_code == 200


def test_an_answer_counts_once_and_in_the_browser_that_asked(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    way_back = provider.authorize(client.post("/account/sso/"), person_there)
    stranger = Client()
    assert "was not asked for in this browser" in words(stranger.get(way_back))
    assert stranger.get("/account/").status_code == 302
    client.get(way_back)
    client.post("/account/logout/")
    assert "was used before" in words(client.get(way_back))
    assert client.get("/account/").status_code == 302


def test_an_answer_to_another_question_does_not_count(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    """A code that was got for another browser's question (its nonce and PKCE differ) is put into ours."""
    theirs = provider.authorize(Client().post("/account/sso/"), person_there)
    mine = provider.authorize(client.post("/account/sso/"), person_there)
    stolen = theirs.partition("code=")[2].partition("&")[0]
    own = mine.partition("code=")[2].partition("&")[0]
    answer = client.get(mine.replace(own, stolen))
    assert answer.status_code in {403, 409}
    assert client.get("/account/").status_code == 302


def test_cancelling_there_is_said_in_words(client: Client, provider: Provider, db: Any) -> None:
    state = asked_for(client.post("/account/sso/"))["state"]
    answer = client.get(f"/account/sso/sso/callback/?error=access_denied&state={state}")
    assert "was cancelled there" in words(answer)


def test_a_provider_that_is_down_is_said_in_words(
    client: Client,
    provider: Provider,
    person_there: str,
    settings: Any,
) -> None:
    way_back = provider.authorize(client.post("/account/sso/"), person_there)
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    for answer in (client.post("/account/sso/"), client.get(way_back)):
        assert answer.status_code == 409
        assert "Acme could not confirm who you are" in words(answer)


def test_it_never_leads_to_another_site(
    client: Client,
    provider: Provider,
    dba: User,
    person_there: str,
) -> None:
    assert provider.sign_in(client, person_there, "https://evil.example/")["Location"] == "/"


# --- Signing in there again ---------------------------------------------------------------------------


@pytest.fixture
def elsewhere(client: Client, dba: User, provider: Provider, person_there: str) -> User:
    """Dana, signed in, who has no password here."""
    provider.sign_in(Client(), person_there)
    dba.set_unusable_password()
    dba.save()
    sign_in(client, dba)
    return dba


def leave(client: Client) -> Any:
    return client.post("/account/sso/reauthentication/", {"about": ABOUT, "next": "/account/"})


def test_signing_in_again_is_asked_for_and_noted(
    client: Client,
    provider: Provider,
    elsewhere: User,
) -> None:
    provider.knows("dana-1", auth_time=int(time.time()))
    departure = leave(client)
    asked = asked_for(departure)
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    answer = client.get(provider.authorize(departure, "dana-1"))
    assert answer["Location"] == "/account/"
    assert client.get("/account/").status_code == 200
    assert Reauthentication.objects.usable(elsewhere, ABOUT).count() == 1
    assert Reauthentication.objects.usable(elsewhere, "e" * 64).count() == 0
    assert Entry.objects.first().data["digest"] == ABOUT


@pytest.mark.parametrize("auth_time", ["of late", -3600, 3600, 10**30])
def test_signing_in_long_ago_or_at_no_known_time_does_not_count(
    client: Client,
    provider: Provider,
    elsewhere: User,
    auth_time: Any,
) -> None:
    said = int(time.time()) + auth_time if isinstance(auth_time, int) else auth_time
    provider.knows("dana-1", auth_time=said)
    answer = client.get(provider.authorize(leave(client), "dana-1"))
    assert "did not ask you to sign in again" in words(answer)
    assert not Reauthentication.objects.exists()


def test_somebody_else_signing_in_there_does_not_count(
    client: Client,
    provider: Provider,
    elsewhere: User,
    cto: User,
) -> None:
    now = int(time.time())
    provider.knows("cora", email="cora.tolland@example.org", email_verified=True, auth_time=now)
    assert "Somebody else than Dana Baker" in words(client.get(provider.authorize(leave(client), "cora")))
    provider.sign_in(Client(), "cora")
    assert "Somebody else than Dana Baker" in words(client.get(provider.authorize(leave(client), "cora")))
    assert not Reauthentication.objects.exists()
    assert client.get("/account/").status_code == 200


def test_an_answer_does_not_count_after_another_person_took_the_browser(
    client: Client,
    provider: Provider,
    elsewhere: User,
    cto: User,
) -> None:
    provider.knows("dana-1", auth_time=int(time.time()))
    way_back = provider.authorize(leave(client), "dana-1")
    session = client.session
    states = session["socialaccount_states"]
    sign_in(client, cto)
    session = client.session
    session["socialaccount_states"] = states
    session.save()
    assert "not signed in here as who asked" in words(client.get(way_back))
    assert not Reauthentication.objects.exists()


def test_it_is_used_once_and_soon(elsewhere: User) -> None:
    now = timezone.now()
    made = Reauthentication.objects.create(user=elsewhere, provider="Acme", about=ABOUT, authenticated_at=now)
    assert Reauthentication.objects.use(elsewhere, ABOUT)
    assert not Reauthentication.objects.use(elsewhere, ABOUT)
    Reauthentication.objects.filter(pk=made.pk).update(used_at=None, at=now - dt.timedelta(minutes=6))
    assert not Reauthentication.objects.use(elsewhere, ABOUT)


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
def test_settings_that_cannot_work_are_found_at_the_start(
    settings: Any, issuer: str, secret: str, found: list[str]
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = issuer, "deployctl", secret
    assert [message.id for message in single_sign_on_is_usable()] == found
