"""Passkeys: adding, using and removing them, and rejected responses."""

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

# The clock is stopped, so that no delay after a failure ends within a test.
pytestmark = [pytest.mark.urls("tests.accounts.pages"), pytest.mark.usefixtures("clock")]


@pytest.fixture
def client() -> Client:
    return browser()


def reset_throttle(user: User) -> None:
    """Move the last failure into the past, as if the test had waited."""
    Passkey.objects.filter(user=user).update(
        throttling_failure_timestamp=timezone.now() - dt.timedelta(days=1)
    )


@pytest.fixture
def key(client: Client, dba: User) -> Authenticator:
    """Add a passkey as the DBA's only second factor."""
    sign_in(client, dba, second_factor=False)
    return add_passkey(client, dba)


def rejection_reason(user: User, response: str, purpose: Purpose = Purpose.STEP_UP, about: str = "") -> str:
    with pytest.raises(WrongPasskey):
        passkeys.verify(user, response, purpose, about)
    reset_throttle(user)
    return str(Entry.objects.first().data["reason"])


def test_a_passkey_as_first_second_factor_comes_with_recovery_codes(client: Client, dba: User) -> None:
    sign_in(client, dba, second_factor=False)
    options = client.post("/account/passkeys/registration/").json()
    assert options["authenticatorSelection"]["userVerification"] == "required"
    form = {"name": "Work laptop", "passkey": Authenticator().create(options), "next": "/operator/"}
    response = client.post("/account/passkeys/new/", form)
    assert response.content.decode().count("<li><code>") == 10
    assert dba.has_second_factor
    assert client.get("/operator/").status_code == 200
    assert client.get("/fresh/").status_code == 200
    assert Entry.objects.filter(action="passkey.added").get().data == {"passkey": "Work laptop"}


def test_a_further_passkey_needs_a_step_up_and_ends_other_sessions(client: Client, dba: User) -> None:
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


def test_names_and_passkeys_are_unique(client: Client, dba: User, key: Authenticator) -> None:
    options = client.post("/account/passkeys/registration/").json()
    assert options["excludeCredentials"][0]["type"] == "public-key"
    form = {"name": " Work  laptop", "passkey": Authenticator().create(options)}
    assert "another name" in client.post("/account/passkeys/new/", form).content.decode()
    options = client.post("/account/passkeys/registration/").json()
    form = {"name": "Twice", "passkey": key.create(options)}
    assert "already registered" in client.post("/account/passkeys/new/", form).content.decode()
    assert dba.passkeys.count() == 1


@pytest.mark.parametrize(
    "forged", ["", "{", "[]", "null", '{"id": "AA"}', "unknown challenge", "unverified", "other site"]
)
def test_an_invalid_registration_response_is_rejected(client: Client, dba: User, forged: str) -> None:
    sign_in(client, dba, second_factor=False)
    options = client.post("/account/passkeys/registration/").json()
    response = {
        "unknown challenge": Authenticator().create(options | {"challenge": "AAAA"}),
        "unverified": Authenticator(verifies=False).create(options),
        "other site": Authenticator(origin="http://evil.example").create(options),
    }.get(forged, forged)
    assert client.post("/account/passkeys/new/", {"name": "x", "passkey": response}).status_code == 422
    assert not dba.has_second_factor


def test_signing_in_needs_password_and_passkey(client: Client, dba: User, key: Authenticator) -> None:
    client.post("/account/logout/")
    response = client.post("/account/login/", {"login": dba.email, "password": PASSWORD})
    assert response["Location"] == "/account/login/code/"
    page = client.get(response["Location"]).content.decode()
    assert "Sign in with a passkey" in page
    assert "six digits" not in page
    assert client.get("/member/").status_code == 302
    options = client.post("/account/login/passkey/").json()
    assert options["userVerification"] == "required"
    client.post("/account/login/code/", {"passkey": key.get(options)})
    assert client.get("/operator/").status_code == 200
    assert SignIn.objects.first().method_label == "Password and passkey"  # type: ignore[union-attr]
    assert Entry.objects.filter(action="session.started").first().data["how"] == "Password and passkey"


def test_passkey_options_need_the_password_first(client: Client, dba: User, key: Authenticator) -> None:
    assert browser().post("/account/login/passkey/")["Location"] == "/account/login/"
    assert browser().post("/account/passkeys/challenge/").status_code == 302


def test_a_passkey_confirms_a_step_up_and_returns_to_the_page(
    client: Client, dba: User, key: Authenticator
) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=1)
    SignIn.objects.update(code_given_at=long_ago)
    assert client.get("/fresh/")["Location"] == "/account/step-up/?next=%2Ffresh%2F"
    before = client.session.session_key
    response = client.post("/account/step-up/?next=/fresh/", {"passkey": key.get(options_for(client))})
    assert response["Location"] == "/fresh/"
    assert client.get("/fresh/").status_code == 200
    assert client.session.session_key != before


def test_a_step_up_needs_a_code_or_a_passkey(client: Client, dba: User, key: Authenticator) -> None:
    response = client.post("/account/step-up/", {"passkey": ""})
    assert response.status_code == 422
    assert "Use your passkey" in response.content.decode()


def test_a_response_is_accepted_once(client: Client, dba: User, key: Authenticator) -> None:
    response = key.get(options_for(client))
    passkeys.verify(dba, response, Purpose.STEP_UP)
    assert "unknown challenge" in rejection_reason(dba, response)
    assert Passkey.objects.get().sign_count == 1


def test_a_response_is_valid_only_for_its_purpose_and_digest(
    client: Client, dba: User, key: Authenticator
) -> None:
    for_signing, for_confirming = options_for(client, "a" * 64), options_for(client)
    rejection_reason(dba, key.get(for_signing))
    rejection_reason(dba, key.get(options_for(client, "b" * 64)), Purpose.SIGNATURE, "c" * 64)
    rejection_reason(dba, key.get(for_confirming), Purpose.SIGNATURE, "a" * 64)
    rejection_reason(dba, key.get(options_for(client)), Purpose.SIGN_IN)


def test_a_late_response_is_rejected(client: Client, dba: User, key: Authenticator) -> None:
    response = key.get(options_for(client))
    PasskeyChallenge.objects.update(issued_at=timezone.now() - dt.timedelta(minutes=6))
    assert "unknown challenge" in rejection_reason(dba, response)


def test_another_persons_passkey_is_rejected(
    client: Client, dba: User, key: Authenticator, cto: User
) -> None:
    their_client = browser()
    sign_in(their_client, cto, second_factor=False)
    other = add_passkey(their_client, cto, "Other")
    # Their key with my challenge, my key with their challenge, and their key with my identifier.
    rejection_reason(dba, other.get(options_for(client)))
    rejection_reason(dba, key.get(options_for(their_client)))
    other.identifier = key.identifier
    assert "signature" in rejection_reason(dba, other.get(options_for(client)))


def test_a_response_from_another_site_is_rejected(client: Client, dba: User, key: Authenticator) -> None:
    key.origin = "http://localhost.evil.example"
    assert "origin" in rejection_reason(dba, key.get(options_for(client)))
    key.origin = "http://localhost"
    assert "RP ID" in rejection_reason(dba, key.get(options_for(client) | {"rpId": "evil.example"}))


def test_a_response_without_user_verification_is_rejected(
    client: Client, dba: User, key: Authenticator
) -> None:
    key.verifies = False
    assert "User verification" in rejection_reason(dba, key.get(options_for(client)))


def test_a_cloned_key_is_detected_by_its_counter(client: Client, dba: User, key: Authenticator) -> None:
    passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    key.count -= 1
    assert "sign count" in rejection_reason(dba, key.get(options_for(client)))


@pytest.mark.parametrize("garbage", ["", "{", "[]", "7", '{"id": "AA", "rawId": "AA"}', "\x00", "[" * 15000])
def test_garbage_is_rejected_and_counted(client: Client, dba: User, key: Authenticator, garbage: str) -> None:
    rejection_reason(dba, garbage)
    assert Passkey.objects.get().throttling_failure_count == 1


def test_failures_throttle_the_next_attempts(client: Client, dba: User, key: Authenticator) -> None:
    with pytest.raises(WrongPasskey):
        passkeys.verify(dba, "{", Purpose.STEP_UP)
    with pytest.raises(Throttled):
        passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    reset_throttle(dba)
    passkeys.verify(dba, key.get(options_for(client)), Purpose.STEP_UP)
    assert Passkey.objects.get().throttling_failure_count == 0


def test_failures_with_a_passkey_also_throttle_one_time_codes(client: Client, dba: User) -> None:
    sign_in(client, dba)
    add_passkey(client, dba)
    with pytest.raises(WrongPasskey):
        passkeys.verify(dba, "{", Purpose.STEP_UP)
    with pytest.raises(Throttled):
        dba.verify_code(current_code(dba))
    assert TotpFactor.objects.get(user=dba).throttling_failure_count == 1


def test_six_concurrent_uses_of_a_response_succeed_once(committed_db: Any) -> None:
    user, client = person("Dana Baker"), browser()
    sign_in(client, user, second_factor=False)
    key = add_passkey(client, user)
    response = key.get(options_for(client))
    start, outcomes = threading.Barrier(6), Counter[str]()

    def use() -> None:
        mine = User.objects.get(pk=user.pk)
        start.wait()
        try:
            passkeys.verify(mine, response, Purpose.STEP_UP)
            outcomes["accepted"] += 1
        except (WrongPasskey, Throttled):
            outcomes["refused"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"accepted": 1, "refused": 5}


def test_a_disabled_person_cannot_use_a_passkey(client: Client, dba: User, key: Authenticator) -> None:
    options = options_for(client)
    User.objects.filter(pk=dba.pk).update(is_active=False)
    assert client.post("/account/passkeys/challenge/").status_code == 302
    response = client.post("/account/step-up/", {"passkey": key.get(options)})
    assert response["Location"].startswith("/account/login/")


def test_removing_a_passkey_needs_a_step_up_and_another_second_factor(
    client: Client, dba: User, key: Authenticator
) -> None:
    only = dba.passkeys.get()
    response = client.delete(f"/account/passkeys/{only.pk}/")
    assert response.status_code == 409
    assert "your last second factor" in response.content.decode()
    enroll(dba)
    SignIn.objects.update(code_given_at=None)
    assert client.delete(f"/account/passkeys/{only.pk}/").status_code == 302
    assert dba.passkeys.exists()
    client.post("/account/step-up/", {"code": current_code(dba)})
    client.delete(f"/account/passkeys/{only.pk}/")
    assert not dba.passkeys.exists()
    assert Entry.objects.first().data == {"passkey": "Work laptop"}


def test_a_person_cannot_remove_another_persons_passkey(
    client: Client, key: Authenticator, dba: User, cto: User
) -> None:
    their_client = browser()
    sign_in(their_client, cto)
    assert their_client.delete(f"/account/passkeys/{dba.passkeys.get().pk}/").status_code == 404


def test_removing_the_second_factor_removes_passkeys(
    dba: User, key: Authenticator, administrator: User
) -> None:
    dba.remove_second_factor(by=administrator, reason="Met in person.")
    assert not User.objects.get(pk=dba.pk).has_second_factor


def test_a_page_where_passkeys_do_not_work_links_to_the_right_address(dba: User) -> None:
    client = Client(headers={"host": "127.0.0.1:8000"})
    sign_in(client, dba, second_factor=False)
    page = client.get("/account/passkeys/new/").content.decode()
    assert "http://localhost:8000/account/passkeys/new/" in page
    assert "data-passkey=" not in page
    response = client.post("/account/passkeys/registration/")
    assert response.status_code == 409
    assert "only at the address localhost" in response.content.decode()


def test_the_number_of_passkeys_is_limited(
    client: Client, dba: User, key: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passkeys, "MAX_PASSKEYS", 1)
    with pytest.raises(Refusal, match="Remove one"):
        passkeys.registration_options(client.get("/member/").wsgi_request, dba)


def test_options_contain_only_what_the_browser_needs(client: Client, dba: User, key: Authenticator) -> None:
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
