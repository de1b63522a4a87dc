"""Encrypting fields at rest, with a key that is not in the database."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from deployctl.errors import DeployctlError

SHORTEST_KEY = 32


class DecryptionError(DeployctlError):
    """A stored secret cannot be read with the configured key."""


def encrypt(text: str, *, context: str) -> str:
    """Encrypt with the first key of `DEPLOYCTL_FIELD_KEY`.

    Args:
        text: what to keep secret.
        context: what the secret belongs to, such as `totp:7`. It cannot be read back under another context,
            so that a row copied over another person's is useless.

    Raises:
        django.core.exceptions.ImproperlyConfigured: there is no key, or too short a one.
    """
    return _fernet(context).encrypt(text.encode()).decode()


def decrypt(token: str, *, context: str) -> str:
    """Read back what `encrypt` wrote under the same context, with any of the keys.

    Raises:
        DecryptionError: none of the keys fits, or the context is another.
    """
    try:
        return _fernet(context).decrypt(token.encode()).decode()
    except InvalidToken:
        raise DecryptionError(
            "A stored second factor cannot be read: DEPLOYCTL_FIELD_KEY is not the key it was written with."
            " Nothing was changed. Put the earlier key back, after a comma behind the new one."
        ) from None


def _fernet(context: str) -> MultiFernet:
    """One Fernet per configured key; keys are separated by commas, the newest first (key rotation)."""
    secrets = [secret.strip() for secret in settings.DEPLOYCTL_FIELD_KEY.split(",") if secret.strip()]
    if not secrets or min(map(len, secrets)) < SHORTEST_KEY:
        raise ImproperlyConfigured(
            f"DEPLOYCTL_FIELD_KEY must hold at least {SHORTEST_KEY} random characters;"
            ' make them with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return MultiFernet([Fernet(_derive(secret, context)) for secret in secrets])


def _derive(secret: str, context: str) -> bytes:
    """A key of its own for every context (HKDF, RFC 5869), in the form that Fernet wants."""
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"deployctl field {context}".encode())
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))
