"""How people prove who they are when they sign: passkeys, single sign-on, and factors that are new."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.db.models import F
from django.test import Client
from django.utils import timezone

from checklists.models import Deployment
from deployctl.accounts.errors import NotSignedInAgain, WrongPasskey, WrongPassword
from deployctl.accounts.models import Passkey, Reauthentication, RecoveryCode, SignIn, TotpFactor, User
from deployctl.accounts.models.sign_in import FirstFactor
from deployctl.accounts.roles import Role
from deployctl.accounts.tasks import send_security_emails
from deployctl.accounts.testing import current_code, enroll, sign_in, wrong_code
from deployctl.audit.models import Entry
from deployctl.errors import DeployctlError
from signoff import record as records
from signoff.models import Signature
from tests.accounts.authenticator import Authenticator, add_passkey, browser, options_for
from tests.people import PASSWORD
from tests.signoff.signing import gate_of, sign, slot_of


@pytest.fixture
def client() -> Client:
    return browser()


@pytest.fixture
def key(client: Client, dba: User) -> Authenticator:
    """Dana's only second factor."""
    sign_in(client, dba, second_factor=False)
    return add_passkey(client, dba)


def digest_of(deployment: Deployment) -> str:
    return records.digest(gate_of(deployment).record())


def rest(user: User) -> None:
    """What waiting does: the last failure is long ago."""
    long_ago = timezone.now() - dt.timedelta(days=1)
    for model in (Passkey, TotpFactor):
        model.objects.filter(user=user).update(throttling_failure_timestamp=long_ago)


def sign_page(deployment: Deployment) -> str:
    return f"/deployments/{deployment.pk}/gates/pre/"


def test_password_and_passkey_sign_on_the_page(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    page = client.get(sign_page(deployment)).content.decode()
    digest = digest_of(deployment)
    assert f"/account/passkeys/challenge/?about={digest}" in page
    assert "One-time code" not in page
    given = {
        "slot": slot_of(deployment, Role.DBA).pk,
        "meaning": "on",
        "password": PASSWORD,
        "digest": digest,
        "passkey": key.get(options_for(client, digest)),
    }
    assert client.post(f"/deployments/{deployment.pk}/signatures", given).status_code == 303
    signature = Signature.objects.get()
    assert signature.method == "password and passkey"
    assert Entry.objects.get(action="signature.created").data["method"] == "password and passkey"
    assert "by password and passkey" in client.get(sign_page(deployment)).content.decode()


def test_after_a_refused_signature_the_address_for_passkeys_is_the_gates_page(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "digest": digest_of(deployment)}
    address = f"/deployments/{deployment.pk}/signatures"
    refused = client.post(address, given, headers={"host": "127.0.0.1"}).content.decode()
    assert f"http://localhost{sign_page(deployment)}" in refused
    assert f"http://localhost{address}" not in refused


def test_a_passkeys_answer_signs_once_and_only_the_record_it_was_asked_for(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    slot, digest = slot_of(deployment, Role.DBA), digest_of(deployment)
    for answer in (
        key.get(options_for(client)),
        key.get(options_for(client, "0" * 64)),
        "{",
    ):
        with pytest.raises(WrongPasskey):
            slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=answer)
        rest(dba)
    answer = key.get(options_for(client, digest))
    with pytest.raises(WrongPassword):
        slot.sign(by=dba, digest=digest, password="wrong", passkey=answer)
    rest(dba)
    slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=answer)
    with pytest.raises(DeployctlError):
        slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=answer)
    assert Signature.objects.count() == 1
    assert Entry.objects.filter(action="signature.rejected").count() == 5


def test_another_persons_passkey_does_not_sign(
    client: Client, deployment: Deployment, dba: User, devops_lead: User, key: Authenticator
) -> None:
    theirs = browser()
    sign_in(theirs, devops_lead, second_factor=False)
    other = add_passkey(theirs, devops_lead)
    digest = digest_of(deployment)
    for answer in (other.get(options_for(client, digest)), other.get(options_for(theirs, digest))):
        with pytest.raises(WrongPasskey):
            slot_of(deployment, Role.DBA).sign(by=dba, digest=digest, password=PASSWORD, passkey=answer)
        rest(dba)


def test_neither_code_nor_passkey_signs_nothing(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "password": PASSWORD}
    given |= {"digest": digest_of(deployment)}
    answer = client.post(f"/deployments/{deployment.pk}/signatures", given)
    assert answer.status_code == 422
    assert "Use your passkey" in answer.content.decode()
    assert not Signature.objects.exists()


# --- Single sign-on -----------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(dba: User) -> User:
    """Dana, who has no password here."""
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    dba.set_unusable_password()
    dba.save()
    enroll(dba)
    return dba


def signed_in_again(user: User, about: str) -> None:
    Reauthentication.objects.create(user=user, provider="Acme", about=about, authenticated_at=timezone.now())


def test_who_signs_in_elsewhere_does_so_again_and_gives_a_code(
    client: Client, deployment: Deployment, elsewhere: User, settings: Any
) -> None:
    settings.OIDC_NAME = "Acme"
    sign_in(client, elsewhere)
    page = client.get(sign_page(deployment)).content.decode()
    assert "Sign in again at Acme" in page
    assert "One-time code" not in page
    signed_in_again(elsewhere, digest_of(deployment))
    page = client.get(sign_page(deployment)).content.decode()
    assert "You signed in again at Acme" in page
    assert "Your password" not in page
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "code": current_code(elsewhere)}
    given |= {"digest": digest_of(deployment)}
    assert client.post(f"/deployments/{deployment.pk}/signatures", given).status_code == 303
    assert Signature.objects.get().method == "single sign-on and one-time code"


def test_after_a_refused_signature_the_way_back_is_the_gates_page(
    client: Client, deployment: Deployment, elsewhere: User
) -> None:
    sign_in(client, elsewhere)
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on"}
    given |= {"code": wrong_code(elsewhere), "digest": digest_of(deployment)}
    refused = client.post(f"/deployments/{deployment.pk}/signatures", given)
    assert refused.status_code != 303
    assert f'name="next" value="{sign_page(deployment)}"' in refused.content.decode()


def test_without_signing_in_again_for_this_record_nothing_is_signed(
    deployment: Deployment, elsewhere: User
) -> None:
    code = current_code(elsewhere)
    with pytest.raises(NotSignedInAgain):
        sign(deployment, elsewhere, Role.DBA, code=code)
    signed_in_again(elsewhere, "0" * 64)
    with pytest.raises(NotSignedInAgain):
        sign(deployment, elsewhere, Role.DBA, code=code)
    signed_in_again(elsewhere, digest_of(deployment))
    # The code was not used up.
    sign(deployment, elsewhere, Role.DBA, code=code)
    assert not Reauthentication.objects.good(elsewhere, digest_of(deployment)).exists()


def test_signing_in_again_alone_signs_nothing_and_is_kept_for_the_right_code(
    deployment: Deployment, elsewhere: User
) -> None:
    signed_in_again(elsewhere, digest_of(deployment))
    with pytest.raises(DeployctlError):
        sign(deployment, elsewhere, Role.DBA, code=wrong_code(elsewhere))
    rest(elsewhere)
    assert sign(deployment, elsewhere, Role.DBA).method == "single sign-on and one-time code"


@pytest.mark.parametrize("age", [dt.timedelta(), dt.timedelta(days=30)], ids=["good", "too old"])
def test_a_password_that_was_handed_over_signs_nothing_until_it_is_replaced(
    client: Client, deployment: Deployment, dba: User, age: dt.timedelta
) -> None:
    dba.change_password(PASSWORD, by=dba, is_temporary=True)
    User.objects.filter(pk=dba.pk).update(temporary_password_until=F("temporary_password_until") - age)
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    sign_in(client, dba)
    SignIn.objects.update(first_factor=FirstFactor.SINGLE_SIGN_ON)
    code = current_code(dba)
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "code": code, "password": PASSWORD}
    refused = client.post(
        f"/deployments/{deployment.pk}/signatures", given | {"digest": digest_of(deployment)}
    )
    assert refused.status_code == 422
    assert "Choose a password of your own first, under My account" in refused.content.decode()
    assert not Signature.objects.exists()

    own = "another horse, another staple"
    dba.change_password(own, by=dba)
    sign(deployment, dba, Role.DBA, password=own, code=code)


# --- Recovery, new factors, failures ------------------------------------------------------------------


def test_a_recovery_code_never_signs_and_who_signed_in_with_one_cannot_either(
    client: Client, deployment: Deployment, dba: User
) -> None:
    enroll(dba)
    code, *others = RecoveryCode.objects.renew(dba)
    with pytest.raises(DeployctlError):
        sign(deployment, dba, Role.DBA, code=code)
    rest(dba)
    client.post("/account/login/", {"login": dba.email, "password": PASSWORD})
    client.post("/account/login/code/?with=recovery", {"code": others[0]})
    given = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "password": PASSWORD}
    given |= {"digest": digest_of(deployment), "code": others[1]}
    answer = client.post(f"/deployments/{deployment.pk}/signatures", given)
    assert answer["Location"].startswith("/account/code/")
    assert not Signature.objects.exists()


def test_after_a_reset_signing_takes_a_new_factor_and_shows_that_it_is_new(
    client: Client, deployment: Deployment, dba: User, administrator: User
) -> None:
    enroll(dba)
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(days=30))
    dba.remove_factor(by=administrator, reason="Met in person.")
    sign_in(client, dba, second_factor=False)
    assert client.post(f"/deployments/{deployment.pk}/signatures")["Location"].startswith("/account/factor/")
    client.get("/account/factor/")
    # The row was made when the page was looked at; what counts is when its first code was given.
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(days=30))
    client.post("/account/factor/", {"code": current_code(dba)})
    signature = sign(deployment, dba, Role.DBA)
    assert signature.has_new_factor
    assert "added less than a day before" in client.get(sign_page(deployment)).content.decode()
    acts = list(
        Entry.objects.filter(action__in=["factor.removed", "factor.enrolled"]).values_list(
            "action", flat=True
        )
    )
    assert acts == ["factor.enrolled", "factor.removed"]


def test_a_factor_that_is_a_day_old_is_not_new(deployment: Deployment, dba: User) -> None:
    enroll(dba)
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert not sign(deployment, dba, Role.DBA).has_new_factor


def test_the_third_failure_at_signatures_is_told_to_the_person_and_administrators(
    deployment: Deployment, dba: User, administrator: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    told: list[Any] = []
    for _ in range(3):
        with django_capture_on_commit_callbacks() as callbacks, pytest.raises(DeployctlError):
            sign(deployment, dba, Role.DBA, password="wrong")
        told.append(len(callbacks))
        rest(dba)
    assert told == [0, 0, 1]
    send_security_emails(Entry.objects.first().sequence)
    assert [message.to for message in mail.outbox] == [[administrator.email], [dba.email]]
    assert "Repeated failures" in mail.outbox[0].subject
    assert "The password is wrong" in mail.outbox[0].body


def test_who_may_not_sign_here_and_tries_is_written_down(deployment: Deployment, dba: User) -> None:
    with pytest.raises(DeployctlError):
        sign(deployment, dba, Role.DEVOPS_LEAD)
    refused = Entry.objects.first()
    assert (refused.action, refused.deployment_id) == ("signature.rejected", deployment.pk)
    assert "You are not this deployment" in refused.data["reason"]
