"""Send, find and revoke invitations; only a person's newest link works, and only once."""

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
    """Send a link with which the person sets a password once, within `PASSWORD_RESET_TIMEOUT`.

    Raises:
        Refusal: e-mail is not configured, or sending failed.
    """
    if not can_send():
        raise Refusal(
            "This installation can't send e-mail. Set EMAIL_BACKEND and EMAIL_HOST, or use a temporary"
            " password."
        )
    _invalidate_links(person)
    path = reverse(
        "account_reset_password_from_key",
        kwargs={"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)},
    )
    context = {"person": person, "by_name": audit.actor_name(by), "url": request.build_absolute_uri(path)}
    try:
        # Outside the transaction: a slow mail server must not block the audit chain.
        get_adapter(request).send_mail("account/email/invitation", person.email, context)
    except (SMTPException, OSError) as error:
        raise Refusal(
            f"The invitation couldn't be sent: {cast('object', error)}. The account exists;"
            " send the invitation again from the person's page when the mail server works."
        ) from error
    with transaction.atomic():
        audit.append(Action.INVITATION_SENT, by=by, subject=person, data={"email": person.email})


def pending(person: User) -> Entry | None:
    """Return the audit entry of the person's pending invitation, or None."""
    if person.has_usable_password():
        return None
    entries = Entry.objects.about(person).filter(
        action__in=[Action.INVITATION_SENT, Action.INVITATION_REVOKED]
    )
    last: Entry | None = entries.first()
    if last is None or last.action != Action.INVITATION_SENT or timezone.now() - last.at >= lifetime():
        return None
    return last


def lifetime() -> dt.timedelta:
    """Return how long an invitation works."""
    return dt.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)


@transaction.atomic
def revoke(person: User, *, by: Actor) -> None:
    """Revoke the person's pending invitation.

    Raises:
        Refusal: the person has no pending invitation.
    """
    if pending(person) is None:
        raise Refusal(f"{person.name} has no pending invitation. Nothing was changed.")
    _invalidate_links(person)
    audit.append(Action.INVITATION_REVOKED, by=by, subject=person)


@transaction.atomic
def _invalidate_links(person: User) -> None:
    """Invalidate earlier links by replacing the unusable password, from which their keys are derived."""
    current = User.objects.select_for_update(no_key=True).get(pk=person.pk)
    if not current.has_usable_password():
        person.set_unusable_password()
        person.save(update_fields=["password"])
