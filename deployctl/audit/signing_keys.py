"""The installation's signing key. It is outside the database, so that the database's owner can't sign."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from deployctl.audit import signed_statements
from deployctl.errors import DeployctlError

FILE_NAME = "signing-key.pem"


class SigningKeyMissing(DeployctlError):
    """There is no usable signing key."""


def signing_key() -> Ed25519PrivateKey:
    """Return the private key: `DEPLOYCTL_SIGNING_KEY` (or the file of `…_FILE`), else `DATA/signing-key.pem`.

    Raises:
        SigningKeyMissing: there is no key, or it is unusable.
    """
    path = Path(settings.DEPLOYCTL_DATA) / FILE_NAME
    try:
        pem = settings.DEPLOYCTL_SIGNING_KEY or path.read_text(encoding="ascii")
        return signed_statements.read_private(pem)
    except FileNotFoundError:
        raise SigningKeyMissing(
            f"There is no signing key, so nothing was signed. Run `deployctl up`, which creates {path}, or "
            "create a key with `openssl genpkey -algorithm ed25519` and set DEPLOYCTL_SIGNING_KEY_FILE to "
            "its path."
        ) from None
    except (OSError, UnicodeDecodeError, signed_statements.UnusableKey) as error:
        raise SigningKeyMissing(
            f"Nothing was signed because the signing key is unusable: {error}."
        ) from error


def public_key() -> str:
    """Return the public key of `signing_key` in hexadecimal, or "" if there is none."""
    try:
        return signed_statements.public_of(signing_key())
    except SigningKeyMissing:
        return ""


def trusted_keys() -> frozenset[str]:
    """Return the public keys whose signatures count: the current one and those of `DEPLOYCTL_FORMER_KEYS`."""
    current = public_key()
    former = {signed_statements.read_public(text) for text in settings.DEPLOYCTL_FORMER_KEYS}
    return frozenset(former | ({current} if current else set()))
