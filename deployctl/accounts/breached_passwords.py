"""Passwords that were found in breaches elsewhere, asked of a service that does not learn which is meant."""

from __future__ import annotations

from django.conf import settings
from pwned_passwords_django.api import PwnedPasswords
from pwned_passwords_django.validators import PwnedPasswordsValidator


class Breached(PwnedPasswordsValidator):
    """Refuses what `BREACHED_PASSWORDS_URL` knows, which is told five of the forty digits of a SHA-1.

    Where it does not answer within a second, the password is taken, and the log says that nobody was asked:
    who changes a password because it was stolen must not have to wait for another service.
    """

    def __init__(self) -> None:
        client = PwnedPasswords()
        client.api_endpoint = f"{settings.BREACHED_PASSWORDS_URL.rstrip('/')}/"
        super().__init__(
            error_message="This password was found in a breach of another site, and is tried. Take another.",
            help_message="Your password can’t be one that was found in a breach of another site.",
            api_client=client,
        )
