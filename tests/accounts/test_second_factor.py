"""Authenticator apps: enrollment, replacement, one-time codes, recovery codes and throttling."""

from __future__ import annotations

import datetime as dt
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django_otp.oath import hotp

from deployctl.accounts import attempts, crypto
from deployctl.accounts.errors import NoSecondFactor, Throttled, WrongCode, WrongPassword
from deployctl.accounts.models import RecoveryCode, SignIn, TotpFactor, User
from deployctl.accounts.models.throttle import MAX_DELAY_S, MAX_FAILURES
from deployctl.accounts.testing import current_code, enroll, sign_in, wrong_code
from deployctl.audit.models import Entry
from tests.clock import Clock
from tests.people import PASSWORD, person

# The clock is stopped, so that codes stay valid and no delay ends within a test.
pytestmark = [pytest.mark.urls("tests.accounts.pages"), pytest.mark.usefixtures("clock")]


def reset_throttle(user: User) -> None:
    """Move the last failure into the past, as if the test had waited."""
    TotpFactor.objects.filter(user=user).update(
        throttling_failure_timestamp=timezone.now() - dt.timedelta(days=1)
    )


def code_at(user: User, steps: int) -> str:
    factor = TotpFactor.objects.get(user=user)
    return f"{hotp(factor.key, factor.totp().t() + steps):06d}"  # type: ignore[no-untyped-call]


def test_the_first_code_activates_the_app_and_returns_to_the_page(client: Client, dba: User) -> None:
    sign_in(client, dba, second_factor=False)
    page = client.get("/account/factor/?next=/operator/").content.decode()
    factor = TotpFactor.objects.get(user=dba)
    assert "data:image/svg+xml" in page
    assert factor.text_secret in page
    assert not dba.has_second_factor
    response = client.post("/account/factor/?next=/operator/", {"code": current_code(dba)})
    body = response.content.decode()
    assert 'href="/operator/"' in body
    assert body.count("<li><code>") == 10
    assert TotpFactor.objects.filter(user=dba, confirmed=True).exists()
    assert client.get("/operator/").status_code == 200
    assert client.get("/fresh/").status_code == 200
    assert Entry.objects.first().action == "factor.enrolled"


def test_a_wrong_first_code_activates_nothing(client: Client, dba: User) -> None:
    sign_in(client, dba, second_factor=False)
    client.get("/account/factor/")
    response = client.post("/account/factor/", {"code": wrong_code(dba)})
    assert response.status_code == 422
    assert "The code is wrong" in response.content.decode()
    assert not dba.has_second_factor


def test_enrollment_long_after_sign_in_needs_the_password(client: Client, dba: User) -> None:
    sign_in(client, dba, second_factor=False)
    SignIn.objects.update(started_at=timezone.now() - dt.timedelta(hours=1))
    assert "Enter it again" in client.get("/account/factor/").content.decode()
    response = client.post("/account/factor/", {"code": current_code(dba), "password": "wrong"})
    assert "The password is wrong" in response.content.decode()
    reset_throttle(dba)
    client.post("/account/factor/", {"code": current_code(dba), "password": PASSWORD})
    assert dba.has_second_factor


@pytest.mark.fault(25)
def test_replacing_the_app_needs_a_step_up_and_ends_other_sessions(client: Client, dba: User) -> None:
    other = Client()
    sign_in(other, dba)
    sign_in(client, dba, code=False)
    assert client.get("/account/factor/")["Location"].startswith("/account/step-up/")
    old = dba.totp_factor
    client.post("/account/step-up/?next=/account/factor/", {"code": current_code(dba)})
    client.get("/account/factor/")
    new = TotpFactor.objects.get(user=dba, confirmed=False)
    code = f"{hotp(new.key, new.totp().t()):06d}"  # type: ignore[no-untyped-call]
    assert client.post("/account/factor/", {"code": code}).status_code == 200
    assert dba.totp_factor == new
    assert not TotpFactor.objects.filter(pk=old.pk).exists()  # type: ignore[union-attr]
    assert client.get("/operator/").status_code == 200
    assert other.get("/member/").status_code == 302
    assert Entry.objects.first().action == "factor.replaced"


def test_the_key_is_encrypted_and_bound_to_its_row(dba: User, cto: User) -> None:
    mine, theirs = enroll(dba), enroll(cto)
    assert mine.key.hex() not in mine.key_encrypted
    theirs.key_encrypted = mine.key_encrypted
    with pytest.raises(crypto.DecryptionError):
        _ = theirs.key


def test_field_keys_are_rotated_by_prepending_a_new_one(dba: User, settings: Any) -> None:
    factor = enroll(dba)
    key = factor.key
    settings.DEPLOYCTL_FIELD_KEY = f"{'n' * 40},{settings.DEPLOYCTL_FIELD_KEY}"
    assert TotpFactor.objects.get(pk=factor.pk).key == key
    settings.DEPLOYCTL_FIELD_KEY = "n" * 40
    with pytest.raises(crypto.DecryptionError, match="Add the earlier key after the new one"):
        _ = factor.key


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_code_of_an_adjacent_time_step_is_accepted(dba: User, steps: int) -> None:
    enroll(dba)
    dba.verify_code(code_at(dba, steps))


@pytest.mark.parametrize("steps", [-2, 2])
def test_a_code_of_a_distant_time_step_is_rejected(dba: User, steps: int) -> None:
    enroll(dba)
    with pytest.raises(WrongCode):
        dba.verify_code(code_at(dba, steps))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "-12345", "١٢٣٤٥٦", "abcdef", "1e5"])
def test_anything_but_six_digits_is_rejected(dba: User, code: str) -> None:
    enroll(dba)
    with pytest.raises(WrongCode):
        dba.verify_code(code)


def test_a_code_may_contain_spaces(dba: User) -> None:
    enroll(dba)
    code = current_code(dba)
    dba.verify_code(f" {code[:3]} {code[3:]} ")


def test_a_code_is_accepted_once(dba: User) -> None:
    enroll(dba)
    code = current_code(dba)
    dba.verify_code(code)
    with pytest.raises(WrongCode, match="used already"):
        dba.verify_code(code)


def test_a_code_is_rejected_after_a_newer_one(dba: User) -> None:
    enroll(dba)
    older = code_at(dba, -1)
    dba.verify_code(code_at(dba, 0))
    with pytest.raises(WrongCode, match="used already"):
        dba.verify_code(older)


def test_a_recovery_code_is_rejected_as_one_time_code(dba: User) -> None:
    enroll(dba)
    with transaction.atomic():
        [code, *_] = RecoveryCode.objects.renew(dba)
    with pytest.raises(WrongCode):
        dba.verify_code(code)


def test_another_persons_code_is_rejected(dba: User, cto: User) -> None:
    enroll(dba)
    enroll(cto)
    with pytest.raises(WrongCode):
        dba.verify_code(current_code(cto))


def test_a_code_without_a_second_factor_raises(viewer: User) -> None:
    with pytest.raises(NoSecondFactor):
        viewer.verify_code("123456")


@pytest.mark.fault(24)
def test_every_failure_doubles_the_delay_up_to_a_limit(dba: User, seen: Callable[[str], None]) -> None:
    factor = enroll(dba)
    waits = []
    for failures in (1, 2, 3, 10, 11, 12, MAX_FAILURES):
        factor.throttling_failure_count, factor.throttling_failure_timestamp = failures, timezone.now()
        _, details = factor.verify_is_allowed()  # type: ignore[no-untyped-call]
        waits.append(round((details["locked_until"] - factor.throttling_failure_timestamp).total_seconds()))
    assert waits == [1, 2, 4, 512, MAX_DELAY_S, MAX_DELAY_S, MAX_DELAY_S]
    seen(f"waits of {', '.join(map(str, waits))} s")


@pytest.mark.fault(24)
def test_after_twenty_audited_failures_the_right_code_works(dba: User, seen: Callable[[str], None]) -> None:
    enroll(dba)
    for _ in range(20):
        with pytest.raises(WrongCode):
            dba.verify_code(wrong_code(dba))
        with pytest.raises(Throttled, match="wasn't checked"):
            dba.verify_code(current_code(dba))
        reset_throttle(dba)
    assert Entry.objects.filter(action="factor.rejected").count() == 20
    assert Entry.objects.first().data["failures"] == 20
    dba.verify_code(current_code(dba))
    dba.totp_factor.refresh_from_db()  # type: ignore[union-attr]
    assert dba.totp_factor.throttling_failure_count == 0  # type: ignore[union-attr]
    seen("20 audit entries; the right code is rejected during the delay and works after it")


@pytest.mark.slow(8)
@pytest.mark.fault(24)
def test_the_right_code_works_after_the_real_delay(
    dba: User, clock: Clock, seen: Callable[[str], None]
) -> None:
    enroll(dba)
    for failures, wait_s in ((1, 1), (2, 2), (3, 4)):
        clock.freeze()
        with pytest.raises(WrongCode):
            dba.verify_code(wrong_code(dba))
        with pytest.raises(Throttled):
            dba.verify_code(current_code(dba))
        assert dba.totp_factor.throttling_failure_count == failures  # type: ignore[union-attr]
        clock.unfreeze()
        time.sleep(wait_s + 0.1)
    dba.verify_code(current_code(dba))
    seen("by the clock, the right code works after 3 wrong ones and 4 s")


def test_a_wrong_password_is_counted_and_uses_no_code(dba: User) -> None:
    enroll(dba)
    code = current_code(dba)
    with pytest.raises(WrongPassword):
        dba.verify_password_and_code("wrong", code)
    assert Entry.objects.first().action == "password.rejected"
    with pytest.raises(Throttled):
        dba.verify_password_and_code(PASSWORD, code)
    reset_throttle(dba)
    dba.verify_password_and_code(PASSWORD, code)


def test_an_attempt_within_a_transaction_raises(
    committed_db: Any,
) -> None:
    user = person("Dana Baker")
    enroll(user)
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        user.verify_code(wrong_code(user))


def test_a_failure_stays_counted_after_a_rollback(committed_db: Any) -> None:
    user = person("Dana Baker")
    enroll(user)

    def sign() -> None:
        user.verify_code(wrong_code(user))
        with transaction.atomic():
            raise AssertionError("this is never reached")

    with pytest.raises(WrongCode):
        sign()
    assert user.totp_factor.throttling_failure_count == 1  # type: ignore[union-attr]
    assert Entry.objects.first().action == "factor.rejected"


@pytest.mark.fault(23)
@pytest.mark.parametrize("kind", ["one-time code", "recovery code"])
def test_ten_concurrent_uses_of_a_code_succeed_once(committed_db: Any, kind: str) -> None:
    user = person("Dana Baker")
    enroll(user)
    code = current_code(user)
    with transaction.atomic():
        recovery = RecoveryCode.objects.renew(user)[0]
    start, outcomes = threading.Barrier(10), Counter[str]()

    def use() -> None:
        mine = User.objects.get(pk=user.pk)
        start.wait()
        try:
            if kind == "one-time code":
                mine.verify_code(code)
            else:
                attempts.use_recovery_code(mine, recovery)
            outcomes["accepted"] += 1
        except (WrongCode, Throttled):
            outcomes["refused"] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=use) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"accepted": 1, "refused": 9}


def test_new_recovery_codes_replace_the_old_ones(client: Client, dba: User) -> None:
    sign_in(client, dba)
    with transaction.atomic():
        [old, *_] = RecoveryCode.objects.renew(dba)
    body = client.post("/account/recovery-codes/").content.decode()
    assert body.count("<li><code>") == 10
    with pytest.raises(WrongCode):
        attempts.use_recovery_code(dba, old)
    assert dba.recovery_codes.unused().count() == 10


def test_recovery_codes_are_unguessable(dba: User) -> None:
    with transaction.atomic():
        codes = {code.replace("-", "") for code in RecoveryCode.objects.renew(dba)}
    assert len(codes) == 10
    for code in codes:
        # Five bits each.
        assert re.fullmatch("[a-z2-7]{26,}", code)
    # Each character is random: no position has the same character in all ten codes.
    assert all(len(set(characters)) > 1 for characters in zip(*codes, strict=True))


def test_recovery_codes_are_stored_as_hashes(dba: User) -> None:
    with transaction.atomic():
        codes = RecoveryCode.objects.renew(dba)
    stored = set(RecoveryCode.objects.values_list("hash", flat=True))
    assert len(stored) == len(set(codes)) == 10
    assert not stored & set(codes)
    # A fast hash needs at least 112 random bits (OWASP ASVS 5.0, 6.5.2): 23 characters of base32.
    assert all(len(code.replace("-", "")) >= 23 for code in codes)


def test_a_step_up_returns_to_the_page_with_a_new_session_id(client: Client, dba: User) -> None:
    sign_in(client, dba, code=False)
    before = client.session.session_key
    assert client.get("/fresh/")["Location"] == "/account/step-up/?next=%2Ffresh%2F"
    response = client.post("/account/step-up/?next=/fresh/", {"code": current_code(dba)})
    assert response["Location"] == "/fresh/"
    assert client.get("/fresh/").status_code == 200
    assert client.session.session_key != before


def test_a_step_up_never_redirects_to_another_site(client: Client, dba: User) -> None:
    sign_in(client, dba, code=False)
    response = client.post("/account/step-up/?next=https://evil.example/", {"code": current_code(dba)})
    assert response["Location"] == "/"
