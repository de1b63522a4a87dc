"""Link accounts to subject identifiers (`sub`) at the single sign-on provider, and unlink them."""

from __future__ import annotations

from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.db import transaction

from deployctl import audit
from deployctl.accounts import security_emails
from deployctl.accounts.models import User
from deployctl.accounts.sso_identity import Identity
from deployctl.audit import Action, Actor, Machine
from deployctl.audit.models import Entry
from deployctl.errors import NotAllowed, Refusal


@transaction.atomic
def link(login: SocialLogin, identity: Identity) -> None:
    """Link the person with the verified e-mail address to the subject identifier, at the first sign-in.

    Later sign-ins use only the subject identifier; the e-mail address can change.

    Raises:
        NotAllowed: the address isn't verified, is unknown here, or its account is linked already.
    """
    name = settings.OIDC_NAME
    if not identity.email or not identity.is_verified:
        raise NotAllowed(
            f"{name} hasn't verified your e-mail address (`email_verified`), which the first sign-in here"
            " needs. You aren't signed in. Verify the address there, then try again."
        )
    person = _find_or_create_person(identity)
    if SocialAccount.objects.filter(user=person, provider=login.account.provider).exists():
        raise NotAllowed(
            f"{person.email} is already linked to another account at {name}, so you aren't signed in."
            " Contact an administrator."
        )
    login.user = login.account.user = person
    login.account.save()
    entry = audit.append(
        Action.PERSON_LINKED,
        by=Machine(f"single sign-on ({name})"),
        subject=person,
        data={"issuer": settings.OIDC_ISSUER, "sub": login.account.uid},
    )
    security_emails.send_on_commit(entry)


def require_same_issuer(login: SocialLogin) -> None:
    """Check that the account was linked at the issuer that is configured now.

    django-allauth looks accounts up by the subject identifier alone, which is unique only within its issuer
    (OpenID Connect Core 1.0, 2, `sub`). The audit entry of the link has both.

    Raises:
        NotAllowed: the account was linked at another issuer.
    """
    person, sub = login.account.user, login.account.uid
    linked = Entry.objects.about(person).filter(action=Action.PERSON_LINKED, data__sub=sub).first()
    issuer = linked.data["issuer"] if linked else ""
    if issuer != settings.OIDC_ISSUER:
        raise NotAllowed(
            f"The single sign-on identifier {sub} was linked at {issuer or 'an unknown provider'}, but"
            f" {settings.OIDC_NAME} is now {settings.OIDC_ISSUER}, where it may belong to somebody else."
            " Nothing was changed. Ask an administrator to find the person in the audit log and choose"
            " “Unlink single sign-on” on their page; the next sign-in then links the account again."
        )


def _find_or_create_person(identity: Identity) -> User:
    person: User | None = User.objects.filter(email__iexact=identity.email).first()
    if person is not None:
        return person
    if identity.email.rpartition("@")[2] not in settings.OIDC_DOMAINS:
        raise NotAllowed(
            f"There is no account with the e-mail address {identity.email} here, so you aren't signed in."
            " Ask an administrator for one."
        )
    added: User = User.objects.create_person(
        identity.email,
        identity.name or identity.email,
        None,
        by=Machine(f"single sign-on ({settings.OIDC_NAME})"),
    )
    return added


@transaction.atomic
def unlink(person: User, *, by: Actor) -> None:
    """Remove a person's link to the provider; the next sign-in there links by e-mail address again.

    Raises:
        Refusal: the person isn't linked.
    """
    deleted, _ = person.socialaccount_set.all().delete()
    if not deleted:
        raise Refusal(f"{person.name} isn't linked to single sign-on. Nothing was changed.")
    person.sign_ins.end_all("single sign-on unlinked")
    security_emails.send_on_commit(audit.append(Action.PERSON_UNLINKED, by=by, subject=person))
