"""Inviting a person by e-mail to choose their own password."""

from __future__ import annotations

from smtplib import SMTPException
from typing import cast

from allauth.account.adapter import get_adapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from deployctl import audit
from deployctl.accounts.mail import can_send as can_send
from deployctl.accounts.models import User
from deployctl.audit import Action, Actor
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
        audit.append(Action.PERSON_INVITED, by=by, subject=person, data={"email": person.email})
