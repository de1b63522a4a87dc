"""Inviting a person by e-mail to choose their own password; one link at a time, and only until it is used."""

from __future__ import annotations

import datetime as dt
from smtplib import SMTPException
from typing import cast

from allauth.account.adapter import get_adapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from deployctl import audit
from deployctl.accounts.email import can_send
from deployctl.accounts.models import User
from deployctl.audit import Action, Actor
from deployctl.audit.models import Entry
from deployctl.errors import Refusal


def send(request: HttpRequest, person: User, *, by: Actor) -> None:
    """Send a link with which the person sets a password; good for `PASSWORD_RESET_TIMEOUT`, and once.

    Raises:
        Refusal: e-mail is not configured, or the mail server refused.
    """
    if not can_send():
        raise Refusal(
            "This installation cannot send e-mail. Set EMAIL_BACKEND and EMAIL_HOST, or give a password."
        )
    _void_earlier(person)
    path = reverse(
        "account_reset_password_from_key",
        kwargs={"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)},
    )
    context = {"person": person, "by_name": audit.actor_name(by), "url": request.build_absolute_uri(path)}
    try:
        # Outside the transaction: a slow mail server must not hold up the audit chain.
        get_adapter(request).send_mail("account/email/invitation", person.email, context)
    except (SMTPException, OSError) as error:
        raise Refusal(
            f"The invitation could not be sent: {cast('object', error)}. The person is there;"
            " send it again from their page when the mail server works."
        ) from error
    with transaction.atomic():
        audit.append(Action.INVITATION_SENT, by=by, subject=person, data={"email": person.email})


def standing(person: User) -> Entry | None:
    """The invitation that a person can still follow, as the audit entry of its sending."""
    if person.has_usable_password():
        return None
    about = Entry.objects.about(person).filter(action__in=[Action.INVITATION_SENT, Action.INVITATION_REVOKED])
    last: Entry | None = about.first()
    is_good = last is not None and timezone.now() - last.at < good_for()
    return last if last is not None and is_good and last.action == Action.INVITATION_SENT else None


def good_for() -> dt.timedelta:
    """How long an invitation can be followed."""
    return dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)


@transaction.atomic
def withdraw(person: User, *, by: Actor) -> None:
    """Make the link that was sent useless.

    Raises:
        Refusal: there is no invitation that could still be followed.
    """
    if standing(person) is None:
        raise Refusal(f"{person.name} has no invitation that could still be followed. Nothing was changed.")
    _void_earlier(person)
    audit.append(Action.INVITATION_REVOKED, by=by, subject=person)


@transaction.atomic
def _void_earlier(person: User) -> None:
    """Links are bound to the stored password, also to the mark that there is none: a new mark voids them."""
    current = User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if not current.has_usable_password():
        person.set_unusable_password()
        person.save(update_fields=["password"])
