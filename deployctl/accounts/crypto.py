"""Encrypt fields at rest with a key that is not in the database."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from deployctl.errors import DeployctlError

MIN_KEY_LENGTH = 32


class DecryptionError(DeployctlError):
    """A stored secret cannot be decrypted with the configured keys."""


def encrypt(text: str, *, context: str) -> str:
    """Encrypt with the first key of `DEPLOYCTL_FIELD_KEY`.

    Args:
        text: the plain text.
        context: the owner of the secret, such as `totp:7`. Decryption needs the same context, so a value that
            is copied to another person's row is useless.

    Raises:
        django.core.exceptions.ImproperlyConfigured: no key is configured, or one is too short.
    """
    return _fernet(context).encrypt(text.encode()).decode()


def decrypt(token: str, *, context: str) -> str:
    """Decrypt a value of `encrypt`, with any of the configured keys.

    Raises:
        DecryptionError: no key matches, or the context differs.
    """
    try:
        return _fernet(context).decrypt(token.encode()).decode()
    except InvalidToken:
        raise DecryptionError(
            "A stored second factor can't be decrypted, because DEPLOYCTL_FIELD_KEY doesn't contain its key."
            " Nothing was changed. Add the earlier key after the new one, separated by a comma."
        ) from None


def _fernet(context: str) -> MultiFernet:
    """Return a Fernet with all configured keys, newest first (for key rotation)."""
    secrets = [secret.strip() for secret in settings.DEPLOYCTL_FIELD_KEY.split(",") if secret.strip()]
    if not secrets or min(map(len, secrets)) < MIN_KEY_LENGTH:
        raise ImproperlyConfigured(
            f"Each key in DEPLOYCTL_FIELD_KEY must have at least {MIN_KEY_LENGTH} random characters. Generate"
            ' one with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return MultiFernet([Fernet(_derive(secret, context)) for secret in secrets])


def _derive(secret: str, context: str) -> bytes:
    """Derive the Fernet key of a context (HKDF, RFC 5869)."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"deployctl field {context}".encode())
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))
