"""Passkeys: adding, naming, removing, using them, and every answer that does not count."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from deployctl.accounts import passkeys
from deployctl.accounts.errors import Throttled, WrongPasskey
from deployctl.accounts.models import Passkey, PasskeyChallenge, SignIn, TotpFactor, User
from deployctl.accounts.models.passkey_challenge import Purpose
from deployctl.accounts.testing import current_code, enroll, sign_in
from deployctl.audit.models import Entry
from deployctl.errors import Refusal
from tests.accounts.authenticator import Authenticator, add_passkey, browser, options_for
from tests.people import PASSWORD, person

# No wait after a failure ends between two lines.
pytestmark = [pytest.mark.urls("tests.accounts.pages"), pytest.mark.usefixtures("clock")]


@pytest.fixture
def client() -> Client:
    return browser()


def rest(user: User) -> None:
    """What waiting does: the last failure is long ago."""
    Passkey.objects.filter(user=user).update(
        throttling_failure_timestamp=timezone.now() - dt.timedelta(days=1)
    )


@pytest.fixture
def key(client: Client, dba: User) -> Authenticator:
    """Dana's only second factor."""
    sign_in(client, dba, second_factor=False)
    return add_passkey(client, dba)


def refused(user: User, answer: str, purpose: Purpose = Purpose.STEP_UP, about: str = "") -> str:
    with pytest.raises(WrongPasskey):
        passkeys.verify(user, answer, purpose, about)
    rest(user)
    return str(Entry.objects.first().data["reason"])


def test_the_first_factor_may_be_a_passkey_and_comes_with_recovery_codes(client: Client, dba: User) -> None:
    sign_in(client, dba, second_factor=False)
    options = client.post("/account/passkeys/registration/").json()
    assert options["authenticatorSelection"]["userVerification"] == "required"
    given = {"name": "Work laptop", "passkey": Authenticator().create(options), "next": "/operator/"}
    answer = client.post("/account/passkeys/new/", given)
    assert answer.content.decode().count("<li><code>") == 10
    assert dba.has_second_factor
    assert client.get("/operator/").status_code == 200
    assert client.get("/fresh/").status_code == 200
    assert Entry.objects.filter(action="passkey.added").get().data == {"passkey": "Work laptop"}


def test_a_further_one_asks_for_a_fresh_code_ends_the_other_sessions_and_keeps_the_recovery_codes(
    client: Client, dba: User
) -> None:
    sign_in(client, dba, code=False)
    assert client.get("/account/passkeys/new/")["Location"].startswith("/account/step-up/")
    assert client.post("/account/passkeys/registration/")["Location"] == "/account/step-up/"
    other = browser()
    sign_in(other, dba)
    client.post("/account/step-up/", {"code": current_code(dba)})
    add_passkey(client, dba, "Phone")
    assert other.get("/member/").status_code == 302
    assert dba.recovery_codes.unused().count() == 10
    page = client.get("/account/").content.decode()
    assert "Phone" in page
    assert "Authenticator app" in page


def test_a_name_and_a_passkey_are_taken_once(client: Client, dba: User, key: Authenticator) -> None:
    options = client.post("/account/passkeys/registration/").json()
    assert options["excludeCredentials"][0]["type"] == "public-key"
    given = {"name": " Work  laptop", "passkey": Authenticator().create(options)}
    assert "another name" in client.post("/account/passkeys/new/", given).content.decode()
    options = client.post("/account/passkeys/registration/").json()
    given = {"name": "Twice", "passkey": key.create(options)}
    assert "registered already" in client.post("/account/passkeys/new/", given).content.decode()
    assert dba.passkeys.count() == 1


@pytest.mark.parametrize(
    "forged", ["", "{", "[]", "null", '{"id": "AA"}', "unasked", "unverified", "elsewhere"]
)
def test_what_is_no_new_passkey_of_this_site_is_refused(client: Client, dba: User, forged: str) -> None:
    sign_in(client, dba, second_factor=False)
    options = client.post("/account/passkeys/registration/").json()
    answer = {
        "unasked": Authenticator().create(options | {"challenge": "AAAA"}),
        "unverified": Authenticator(verifies=False).create(options),
        "elsewhere": Authenticator(origin="http://evil.example").create(options),
    }.get(forged, forged)
    assert client.post("/account/passkeys/new/", {"name": "x", "passkey": answer}).status_code == 422
    assert not dba.has_second_factor


def test_signing_in_takes_password_and_passkey(client: Client, dba: User, key: Authenticator) -> None:
    client.post("/account/logout/")
    answer = client.post("/account/login/", {"login": dba.email, "password": PASSWORD})
    assert answer["Location"] == "/account/login/code/"
    page = client.get(answer["Location"]).content.decode()
    assert "Sign in with a passkey" in page
    assert "six digits" not in page
    assert client.get("/member/").status_code == 302
    options = client.post("/account/login/passkey/").json()
    assert options["userVerification"] == "required"
    client.post("/account/login/code/", {"passkey": key.get(options)})
    assert client.get("/operator/").status_code == 200
    assert SignIn.objects.first().method_label == "Password and passkey"  # type: ignore[union-attr]
    assert Entry.objects.filter(action="session.started").first().data["how"] == "Password and passkey"


def test_nobody_asks_for_a_passkey_without_the_password(
    client: Client, dba: User, key: Authenticator
) -> None:
    assert browser().post("/account/login/passkey/")["Location"] == "/account/login/"
    assert browser().post("/account/passkeys/challenge/").status_code == 302


def test_a_passkey_confirms_and_leads_back(client: Client, dba: User, key: Authenticator) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=1)
    SignIn.objects.update(code_given_at=long_ago)
    assert client.get("/fresh/")["Location"] == "/account/step-up/?next=%2Ffresh%2F"
    before = client.session.session_key
    answer = client.post("/account/step-up/?next=/fresh/", {"passkey": key.get(options_for(client))})
    assert answer["Location"] == "/fresh/"
    assert client.get("/fresh/").status_code == 200
    assert client.session.session_key != before


def test_neither_code_nor_passkey_is_no_confirmation(client: Client, dba: User, key: Authenticator) -> None:
    answer = client.post("/account/step-up/", {"passkey": ""})
    assert answer.status_code == 422
    assert "Use your passkey" in answer.content.decode()


def test_an_answer_counts_once(client: Client, dba: User, key: Authenticator) -> None:
    answer = key.get(options_for(client))
    passkeys.verify(dba, answer, Purpose.STEP_UP)
    assert "no such challenge" in refused(dba, answer)
    assert Passkey.objects.get().sign_count == 1


def test_an_answer_counts_only_for_what_it_was_asked_for(
    client: Client, dba: User, key: Authenticator
) -> None:
    for_signing, for_confirming = options_for(client, "a" * 64), options_for(client)
    refused(dba, key.get(for_signing))
    refused(dba, key.get(options_for(client, "b" * 64)), Purpose.SIGNATURE, "c" * 64)
    refused(dba, key.get(for_confirming), Purpose.SIGNATURE, "a" * 64)
    refused(dba, key.get(options_for(client)), Purpose.SIGN_IN)


def test_an_answer_that_comes_late_does_not_count(client: Client, dba: User, key: Authenticator) -> None:
    answer = key.get(options_for(client))
    PasskeyChallenge.objects.update(issued_at=timezone.now() - dt.timedelta(minutes=6))
    assert "no such challenge" in refused(dba, answer)


def test_somebody_elses_passkey_does_not_count(
    client: Client, dba: User, key: Authenticator, cto: User
) -> None:
    theirs = browser()
    sign_in(theirs, cto, second_factor=False)
    other = add_passkey(theirs, cto, "Other")
    # Their key over my challenge, my key over theirs, and their key pretending to be mine.
    refused(dba, other.get(options_for(client)))
    refused(dba, key.get(options_for(theirs)))
    other.identifier = key.identifier
    assert "signature" in refused(dba, other.get(options_for(client)))


def test_an_answer_of_another_site_does_not_count(client: Client, dba: User, key: Authenticator) -> None:
    key.origin = "http://localhost.evil.example"
    assert "origin" in refused(dba, key.get(options_for(client)))
    key.origin = "http://localhost"
    assert "RP ID" in refused(dba, key.get(options_for(client) | {"rpId": "evil.example"}))


def test_a_key_that_did_not_verify_its_owner_does_not_count(
    client: Client, dba: User, key: Authenticator
) -> None:
    key.verifies = False
    assert "User verification" in refused(dba, key.get(options_for(client)))


def test_a_copied_key_shows_by_its_counter(client: Client, dba: User, key: Authenticator) -> None:
    passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    key.count -= 1
    assert "sign count" in refused(dba, key.get(options_for(client)))


@pytest.mark.parametrize("garbage", ["", "{", "[]", "7", '{"id": "AA", "rawId": "AA"}', "\x00", "[" * 15000])
def test_garbage_is_refused_and_counted(client: Client, dba: User, key: Authenticator, garbage: str) -> None:
    refused(dba, garbage)
    assert Passkey.objects.get().throttling_failure_count == 1


def test_failures_slow_the_next_attempts_down_whatever_is_tried(
    client: Client, dba: User, key: Authenticator
) -> None:
    with pytest.raises(WrongPasskey):
        passkeys.verify(dba, "{", Purpose.STEP_UP)
    with pytest.raises(Throttled):
        passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    rest(dba)
    passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    assert Passkey.objects.get().throttling_failure_count == 0


def test_with_an_authenticator_app_failures_of_a_passkey_count_for_the_codes_too(
    client: Client, dba: User
) -> None:
    sign_in(client, dba)
    add_passkey(client, dba)
    with pytest.raises(WrongPasskey):
        passkeys.verify(dba, "{", Purpose.STEP_UP)
    with pytest.raises(Throttled):
        dba.verify_code(current_code(dba))
    assert TotpFactor.objects.get(user=dba).throttling_failure_count == 1


def test_one_answer_in_six_threads_at_once_counts_once(committed_db: Any) -> None:
    user, client = person("Dana Baker"), browser()
    sign_in(client, user, second_factor=False)
    key = add_passkey(client, user)
    answer = key.get(options_for(client))
    start, outcomes = threading.Barrier(6), Counter[str]()

    def give() -> None:
        mine = User.objects.get(pk=user.pk)
        start.wait()
        try:
            passkeys.verify(mine, answer, Purpose.STEP_UP)
            outcomes["accepted"] += 1
        except (WrongPasskey, Throttled):
            outcomes["refused"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=give) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"accepted": 1, "refused": 5}


def test_a_disabled_person_is_asked_for_nothing(client: Client, dba: User, key: Authenticator) -> None:
    options = options_for(client)
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert client.post("/account/passkeys/challenge/").status_code == 302
    answer = client.post("/account/step-up/", {"passkey": key.get(options)})
    assert answer["Location"].startswith("/account/login/")


def test_a_passkey_is_removed_with_a_fresh_code_but_never_the_last_factor(
    client: Client, dba: User, key: Authenticator
) -> None:
    only = dba.passkeys.get()
    answer = client.delete(f"/account/passkeys/{only.pk}/")
    assert answer.status_code == 409
    assert "the last second factor" in answer.content.decode()
    enroll(dba)
    SignIn.objects.update(code_given_at=None)
    assert client.delete(f"/account/passkeys/{only.pk}/").status_code == 302
    assert dba.passkeys.exists()
    client.post("/account/step-up/", {"code": current_code(dba)})
    client.delete(f"/account/passkeys/{only.pk}/")
    assert not dba.passkeys.exists()
    assert Entry.objects.first().data == {"passkey": "Work laptop"}


def test_nobody_removes_another_persons_passkey(
    client: Client, key: Authenticator, dba: User, cto: User
) -> None:
    theirs = browser()
    sign_in(theirs, cto)
    assert theirs.delete(f"/account/passkeys/{dba.passkeys.get().pk}/").status_code == 404


def test_an_administrator_takes_away_passkeys_as_well(
    dba: User, key: Authenticator, administrator: User
) -> None:
    dba.remove_second_factor(by=administrator, reason="Met in person.")
    assert not User.objects.get(pk=dba.pk).has_second_factor


def test_under_an_address_without_passkeys_the_page_says_where_to_go(dba: User) -> None:
    client = Client(headers={"host": "127.0.0.1:8000"})
    sign_in(client, dba, second_factor=False)
    page = client.get("/account/passkeys/new/").content.decode()
    assert "http://localhost:8000/account/passkeys/new/" in page
    assert "data-passkey=" not in page
    answer = client.post("/account/passkeys/registration/")
    assert answer.status_code == 409
    assert "for the address localhost" in answer.content.decode()


def test_a_person_has_not_more_passkeys_than_a_page_shows(
    client: Client, dba: User, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 1)
    with pytest.raises(Refusal, match="Remove one"):
        passkeys.registration_options(client.get("/member/").wsgi_request, dba)


def test_options_hold_no_more_than_the_browser_needs(client: Client, dba: User, key: Authenticator) -> None:
    options = options_for(client)
    assert set(options) <= {
        "challenge",
        "timeout",
        "rpId",
        "allowCredentials",
        "userVerification",
        "extensions",
    }
    assert len({json.dumps(options_for(client)["challenge"]) for _ in range(5)}) == 5
