"""Encryption to a public key with age (age-encryption.org), so that a store never sees what it holds.

The private key is nowhere in deployctl: `age --decrypt --identity KEYFILE` opens a copy anywhere.
"""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import pyrage

from deployctl.storage.local import StorageError

SUFFIX = ".age"


def check_recipient(recipient: str) -> None:
    """Look at a public key.

    Raises:
        StorageError: it is neither an age nor an SSH public key.
    """
    _parse(recipient)


def encrypt(source: BinaryIO, target: BinaryIO, recipient: str) -> None:
    """Write what `source` holds, encrypted, in constant memory.

    Raises:
        StorageError: the recipient cannot be used.
    """
    pyrage.encrypt_io(source, target, [_parse(recipient)])


def _parse(recipient: str) -> Any:
    kind = pyrage.ssh if recipient.startswith("ssh-") else pyrage.x25519
    try:
        return cast("Any", kind).Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise StorageError(
            "The recipient of an offsite store is no public key. It begins with age1 (made by `age-keygen`) "
            "or with ssh-ed25519 or ssh-rsa."
        ) from None
