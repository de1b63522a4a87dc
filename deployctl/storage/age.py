"""Encrypt files to a public key with age (age-encryption.org). Offsite stores never see the content.

deployctl doesn't have the private key. `age --decrypt --identity KEYFILE` decrypts a copy on any machine.
"""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import pyrage

from deployctl.storage.local import StorageError

SUFFIX = ".age"


def check_recipient(recipient: str) -> None:
    """Validate a public key.

    Raises:
        StorageError: the key is neither an age nor an SSH public key.
    """
    _parse(recipient)


def encrypt(source: BinaryIO, target: BinaryIO, recipient: str) -> None:
    """Encrypt `source` into `target`, in constant memory.

    Raises:
        StorageError: the recipient isn't a valid public key.
    """
    pyrage.encrypt_io(source, target, [_parse(recipient)])


def _parse(recipient: str) -> Any:
    kind = pyrage.ssh if recipient.startswith("ssh-") else pyrage.x25519
    try:
        return cast("Any", kind).Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise StorageError(
            "The recipient of an offsite store isn't a valid public key. Use a key that begins with age1 "
            "(from `age-keygen`), ssh-ed25519 or ssh-rsa."
        ) from None
