"""Whose a number at the provider of single sign-on is: linked once, held to its issuer, forgotten."""

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
    """First time: find the person by the address that the provider vouches for, and remember its number.

    From then on the number (`sub`) counts, and the address may change.

    Raises:
        NotAllowed: the address is not vouched for, is nobody's here, or is linked to another number.
    """
    name = settings.OIDC_NAME
    if not identity.email or not identity.is_verified:
        raise NotAllowed(
            f"{name} does not vouch for your e-mail address (`email_verified`), by which people are found"
            " here the first time. You are not signed in. Have the address confirmed there, then try again."
        )
    person = _person_for(identity)
    if SocialAccount.objects.filter(user=person, provider=login.account.provider).exists():
        raise NotAllowed(
            f"{person.email} is linked to another account at {name} already, so you are not signed in."
            " Ask an administrator."
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


def require_issuer_of(login: SocialLogin) -> None:
    """Refuse a number that was linked at another issuer than the one that is set now.

    django-allauth looks up by the number alone, and a number says who somebody is only together with its
    issuer (OpenID Connect Core 1.0, 2, `sub`). The entry of the linking has both.

    Raises:
        NotAllowed: it was.
    """
    person, number = login.account.user, login.account.uid
    linked = Entry.objects.about(person).filter(action=Action.PERSON_LINKED, data__sub=number).first()
    issuer = linked.data["issuer"] if linked else ""
    if issuer != settings.OIDC_ISSUER:
        raise NotAllowed(
            f"The number {number} was linked here at {issuer or 'a provider that is not on record'}, and"
            f" {settings.OIDC_NAME} is {settings.OIDC_ISSUER} now, where it may be somebody else's."
            " Nothing was changed. Ask an administrator: the audit log names whose number it was; after"
            " “Forget the link” on that person's page, the next sign-in links anew."
        )


def _person_for(identity: Identity) -> User:
    person: User | None = User.objects.filter(email__iexact=identity.email).first()
    if person is not None:
        return person
    if identity.email.rpartition("@")[2] not in settings.OIDC_DOMAINS:
        raise NotAllowed(
            f"There is nobody with the address {identity.email} here, so you are not signed in."
            " An administrator adds people."
        )
    added: User = User.objects.create_person(
        identity.email,
        identity.name or identity.email,
        None,
        by=Machine(f"single sign-on ({settings.OIDC_NAME})"),
    )
    return added


@transaction.atomic
def forget(person: User, *, by: Actor) -> None:
    """Forget a person's number at the provider; the next sign-in there links by the address again.

    Raises:
        Refusal: there is no link.
    """
    forgotten, _ = person.socialaccount_set.all().delete()
    if not forgotten:
        raise Refusal(f"{person.name} is not linked to single sign-on. Nothing was changed.")
    person.sign_ins.end_all("single sign-on unlinked")
    security_emails.send_on_commit(audit.append(Action.PERSON_UNLINKED, by=by, subject=person))
