"""The installation's signing key: outside the database, so that whoever owns the database cannot sign."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from deployctl.audit import signed_statements
from deployctl.errors import DeployctlError

FILE = "signing-key.pem"


class SigningKeyMissing(DeployctlError):
    """There is no key to sign with, or none that can be used."""


def signing_key() -> Ed25519PrivateKey:
    """The private key: `DEPLOYCTL_SIGNING_KEY` (or the file of `…_FILE`), else `DATA/signing-key.pem`.

    Raises:
        SigningKeyMissing: with what to do.
    """
    path = Path(settings.DEPLOYCTL_DATA) / FILE
    try:
        pem = settings.DEPLOYCTL_SIGNING_KEY or path.read_text(encoding="ascii")
        return signed_statements.read_private(pem)
    except FileNotFoundError:
        raise SigningKeyMissing(
            f"There is no signing key, so nothing was signed. `deployctl up` makes {path}; with services of "
            "your own, make one with `openssl genpkey -algorithm ed25519` and name it in "
            "DEPLOYCTL_SIGNING_KEY_FILE."
        ) from None
    except (OSError, UnicodeDecodeError, signed_statements.UnusableKey) as error:
        raise SigningKeyMissing(f"The signing key cannot be used, so nothing was signed: {error}.") from error


def public_key() -> str:
    """The public key of `signing_key`, in hexadecimal; "" where there is none."""
    try:
        return signed_statements.public_of(signing_key())
    except SigningKeyMissing:
        return ""


def trusted_keys() -> frozenset[str]:
    """The public keys whose signatures count: the present one and those of `DEPLOYCTL_FORMER_KEYS`."""
    present = public_key()
    former = {signed_statements.read_public(text) for text in settings.DEPLOYCTL_FORMER_KEYS}
    return frozenset(former | ({present} if present else set()))
