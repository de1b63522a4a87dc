"""The credentials for signing: passkeys, single sign-on, recovery codes and new factors."""

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
from deployctl.accounts.errors import ReauthenticationRequired, WrongPasskey, WrongPassword
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
    """A passkey, the only second factor of the DBA."""
    sign_in(client, dba, second_factor=False)
    return add_passkey(client, dba)


def digest_of(deployment: Deployment) -> str:
    return records.digest(gate_of(deployment).record())


def end_throttling(user: User) -> None:
    """Set the last failure of all factors to a day ago."""
    long_ago = timezone.now() - dt.timedelta(days=1)
    for model in (Passkey, TotpFactor):
        model.objects.filter(user=user).update(throttling_failure_timestamp=long_ago)


def sign_page(deployment: Deployment) -> str:
    return f"/deployments/{deployment.pk}/gates/pre/"


def test_a_password_and_a_passkey_sign_on_the_page(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    page = client.get(sign_page(deployment)).content.decode()
    digest = digest_of(deployment)
    assert f"/account/passkeys/challenge/?about={digest}" in page
    assert "One-time code" not in page
    form_data = {
        "slot": slot_of(deployment, Role.DBA).pk,
        "meaning": "on",
        "password": PASSWORD,
        "digest": digest,
        "passkey": key.get(options_for(client, digest)),
    }
    assert client.post(f"/deployments/{deployment.pk}/signatures", form_data).status_code == 303
    signature = Signature.objects.get()
    assert signature.method == "password and passkey"
    assert Entry.objects.get(action="signature.created").data["method"] == "password and passkey"
    assert "by password and passkey" in client.get(sign_page(deployment)).content.decode()


def test_after_a_rejection_the_passkey_link_leads_to_the_gate(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    form_data = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "digest": digest_of(deployment)}
    address = f"/deployments/{deployment.pk}/signatures"
    page = client.post(address, form_data, headers={"host": "127.0.0.1"}).content.decode()
    assert f"http://localhost{sign_page(deployment)}" in page
    assert f"http://localhost{address}" not in page


def test_a_passkey_response_signs_one_record_once(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    slot, digest = slot_of(deployment, Role.DBA), digest_of(deployment)
    for response in (
        key.get(options_for(client)),
        key.get(options_for(client, "0" * 64)),
        "{",
    ):
        with pytest.raises(WrongPasskey):
            slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=response)
        end_throttling(dba)
    response = key.get(options_for(client, digest))
    with pytest.raises(WrongPassword):
        slot.sign(by=dba, digest=digest, password="wrong", passkey=response)
    end_throttling(dba)
    slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=response)
    with pytest.raises(DeployctlError):
        slot.sign(by=dba, digest=digest, password=PASSWORD, passkey=response)
    assert Signature.objects.count() == 1
    assert Entry.objects.filter(action="signature.rejected").count() == 5


def test_another_persons_passkey_is_rejected(
    client: Client, deployment: Deployment, dba: User, devops_lead: User, key: Authenticator
) -> None:
    theirs = browser()
    sign_in(theirs, devops_lead, second_factor=False)
    other = add_passkey(theirs, devops_lead)
    digest = digest_of(deployment)
    for response in (other.get(options_for(client, digest)), other.get(options_for(theirs, digest))):
        with pytest.raises(WrongPasskey):
            slot_of(deployment, Role.DBA).sign(by=dba, digest=digest, password=PASSWORD, passkey=response)
        end_throttling(dba)


def test_signing_requires_a_code_or_a_passkey(
    client: Client, deployment: Deployment, dba: User, key: Authenticator
) -> None:
    form_data = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "password": PASSWORD}
    form_data |= {"digest": digest_of(deployment)}
    response = client.post(f"/deployments/{deployment.pk}/signatures", form_data)
    assert response.status_code == 422
    assert "Use your passkey" in response.content.decode()
    assert not Signature.objects.exists()


# --- Single sign-on -----------------------------------------------------------------------------------


@pytest.fixture
def sso_user(dba: User) -> User:
    """The DBA without a password, who signs in by single sign-on."""
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    dba.set_unusable_password()
    dba.save()
    enroll(dba)
    return dba


def reauthenticate(user: User, about: str) -> None:
    Reauthentication.objects.create(user=user, provider="Acme", about=about, authenticated_at=timezone.now())


def test_sso_users_sign_in_again_and_enter_a_code(
    client: Client, deployment: Deployment, sso_user: User, settings: Any
) -> None:
    settings.OIDC_NAME = "Acme"
    sign_in(client, sso_user)
    page = client.get(sign_page(deployment)).content.decode()
    assert "Sign in again at Acme" in page
    assert "One-time code" not in page
    reauthenticate(sso_user, digest_of(deployment))
    page = client.get(sign_page(deployment)).content.decode()
    assert "You signed in again at Acme" in page
    assert "Your password" not in page
    form_data = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "code": current_code(sso_user)}
    form_data |= {"digest": digest_of(deployment)}
    assert client.post(f"/deployments/{deployment.pk}/signatures", form_data).status_code == 303
    assert Signature.objects.get().method == "single sign-on and one-time code"


def test_after_a_rejection_reauthentication_returns_to_the_gate(
    client: Client, deployment: Deployment, sso_user: User
) -> None:
    sign_in(client, sso_user)
    form_data = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on"}
    form_data |= {"code": wrong_code(sso_user), "digest": digest_of(deployment)}
    rejected = client.post(f"/deployments/{deployment.pk}/signatures", form_data)
    assert rejected.status_code != 303
    assert f'name="next" value="{sign_page(deployment)}"' in rejected.content.decode()


def test_sso_users_must_reauthenticate_for_this_record(deployment: Deployment, sso_user: User) -> None:
    code = current_code(sso_user)
    with pytest.raises(ReauthenticationRequired):
        sign(deployment, sso_user, Role.DBA, code=code)
    reauthenticate(sso_user, "0" * 64)
    with pytest.raises(ReauthenticationRequired):
        sign(deployment, sso_user, Role.DBA, code=code)
    reauthenticate(sso_user, digest_of(deployment))
    # The failed attempts have not used up the code.
    sign(deployment, sso_user, Role.DBA, code=code)
    assert not Reauthentication.objects.usable(sso_user, digest_of(deployment)).exists()


def test_a_wrong_code_does_not_use_up_the_reauthentication(deployment: Deployment, sso_user: User) -> None:
    reauthenticate(sso_user, digest_of(deployment))
    with pytest.raises(DeployctlError):
        sign(deployment, sso_user, Role.DBA, code=wrong_code(sso_user))
    end_throttling(sso_user)
    assert sign(deployment, sso_user, Role.DBA).method == "single sign-on and one-time code"


@pytest.mark.parametrize("age", [dt.timedelta(), dt.timedelta(days=30)], ids=["good", "too old"])
def test_a_temporary_password_cannot_sign(
    client: Client, deployment: Deployment, dba: User, age: dt.timedelta
) -> None:
    dba.change_password(PASSWORD, by=dba, is_temporary=True)
    User.objects.filter(pk=dba.pk).update(temporary_password_until=F("temporary_password_until") - age)
    SocialAccount.objects.create(user=dba, provider="sso", uid="dana-1")
    sign_in(client, dba)
    SignIn.objects.update(first_factor=FirstFactor.SINGLE_SIGN_ON)
    code = current_code(dba)
    form_data = {
        "slot": slot_of(deployment, Role.DBA).pk,
        "meaning": "on",
        "code": code,
        "password": PASSWORD,
    }
    rejected = client.post(
        f"/deployments/{deployment.pk}/signatures", form_data | {"digest": digest_of(deployment)}
    )
    assert rejected.status_code == 422
    assert "Choose your own password under My account" in rejected.content.decode()
    assert not Signature.objects.exists()

    new_password = "another horse, another staple"
    dba.change_password(new_password, by=dba)
    sign(deployment, dba, Role.DBA, password=new_password, code=code)


# --- Recovery, new factors, failures ------------------------------------------------------------------


def test_recovery_codes_cannot_sign_even_after_signing_in_with_one(
    client: Client, deployment: Deployment, dba: User
) -> None:
    enroll(dba)
    code, *others = RecoveryCode.objects.renew(dba)
    with pytest.raises(DeployctlError):
        sign(deployment, dba, Role.DBA, code=code)
    end_throttling(dba)
    client.post("/account/login/", {"login": dba.email, "password": PASSWORD})
    client.post("/account/login/code/?with=recovery", {"code": others[0]})
    form_data = {"slot": slot_of(deployment, Role.DBA).pk, "meaning": "on", "password": PASSWORD}
    form_data |= {"digest": digest_of(deployment), "code": others[1]}
    response = client.post(f"/deployments/{deployment.pk}/signatures", form_data)
    assert response["Location"].startswith("/account/step-up/")
    assert not Signature.objects.exists()


def test_after_a_reset_the_signature_shows_that_the_factor_is_new(
    client: Client, deployment: Deployment, dba: User, administrator: User
) -> None:
    enroll(dba)
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(days=30))
    dba.remove_second_factor(by=administrator, reason="Met in person.")
    sign_in(client, dba, second_factor=False)
    assert client.post(f"/deployments/{deployment.pk}/signatures")["Location"].startswith("/account/factor/")
    client.get("/account/factor/")
    # The row was created with the page; the time that counts is when its first code was entered.
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(days=30))
    client.post("/account/factor/", {"code": current_code(dba)})
    signature = sign(deployment, dba, Role.DBA)
    assert signature.has_new_factor
    assert "added less than a day before" in client.get(sign_page(deployment)).content.decode()
    entries = Entry.objects.filter(action__in=["factor.removed", "factor.enrolled"])
    assert list(entries.values_list("action", flat=True)) == ["factor.enrolled", "factor.removed"]


def test_a_factor_that_is_a_day_old_is_not_new(deployment: Deployment, dba: User) -> None:
    enroll(dba)
    TotpFactor.objects.filter(user=dba).update(created_at=timezone.now() - dt.timedelta(hours=25))
    assert not sign(deployment, dba, Role.DBA).has_new_factor


def test_the_third_failed_signature_is_reported_by_email(
    deployment: Deployment, dba: User, administrator: User, django_capture_on_commit_callbacks: Any
) -> None:
    enroll(dba)
    emails: list[int] = []
    for _ in range(3):
        with django_capture_on_commit_callbacks() as callbacks, pytest.raises(DeployctlError):
            sign(deployment, dba, Role.DBA, password="wrong")
        emails.append(len(callbacks))
        end_throttling(dba)
    assert emails == [0, 0, 1]
    send_security_emails(Entry.objects.first().sequence)
    assert [message.to for message in mail.outbox] == [[administrator.email], [dba.email]]
    assert "Repeated failed attempts" in mail.outbox[0].subject
    assert "The password is wrong" in mail.outbox[0].body


def test_an_attempt_to_sign_without_the_role_is_audited(deployment: Deployment, dba: User) -> None:
    with pytest.raises(DeployctlError):
        sign(deployment, dba, Role.DEVOPS_LEAD)
    rejected = Entry.objects.first()
    assert (rejected.action, rejected.deployment_id) == ("signature.rejected", deployment.pk)
    assert "You are not this deployment" in rejected.data["reason"]
