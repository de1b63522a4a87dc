"""Ed25519 signatures over JSON statements. Doesn't use Django, because the offline verifier uses it too.

A signed statement is a JSON object with two more members: `public_key`, and `signature` over the canonical
JSON (RFC 8785) of everything else. The member `schema` names the kind of statement, so that one kind can't be
passed off as another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

FINGERPRINT_DIGITS = 64
KEY_DIGITS = 64


class UnusableKey(ValueError):
    """The input isn't an Ed25519 key."""


def new_key() -> str:
    """Return a new private key as PEM (PKCS 8, unencrypted: the file's permissions protect it)."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def read_private(pem: str) -> Ed25519PrivateKey:
    """Return the private key in a PEM text.

    Raises:
        UnusableKey: the text isn't a PEM, or the key is encrypted or not an Ed25519 key.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise UnusableKey("it doesn't contain an unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey("it isn't an Ed25519 key")
    return key


def read_public(text: str) -> str:
    """Return a public key in hexadecimal, given as PEM or in hexadecimal.

    Raises:
        UnusableKey: the text is neither, or the key isn't an Ed25519 key.
    """
    if "-----BEGIN" in text:
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, TypeError) as error:
            raise UnusableKey("it doesn't contain a public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise UnusableKey("it isn't an Ed25519 key")
        return _raw(key)
    bare = text.strip().lower()
    if len(bare) != KEY_DIGITS or not all(digit in "0123456789abcdef" for digit in bare):
        raise UnusableKey(f"it is neither PEM nor {KEY_DIGITS} hexadecimal digits")
    return bare


def public_of(private: Ed25519PrivateKey) -> str:
    """Return the public key of a private key, in hexadecimal."""
    return _raw(private.public_key())


def public_pem(public_key: str) -> str:
    """Return a public key as PEM, for other programs."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def fingerprint(public_key: str) -> str:
    """Return the SHA-256 of a public key's 32 bytes, in hexadecimal, for people to compare and trust."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()


def sign(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the statement with the public key and the signature added."""
    signed = {**statement, "public_key": public_of(key)}
    return {**signed, "signature": key.sign(rfc8785.dumps(signed)).hex()}


def has_valid_signature(statement: Mapping[str, Any]) -> bool:
    """Return True if the signature of a statement is valid for the public key in the statement.

    This doesn't mean that the key is trusted: compare `public_key` with a trusted one.
    """
    signed = {name: value for name, value in statement.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed["public_key"]))
        signature = statement["signature"]
        # Accept one spelling only: bytes.fromhex would also accept capitals and spaces.
        if signature != signature.lower() or " " in signature:
            return False
        key.verify(bytes.fromhex(signature), rfc8785.dumps(signed))
    except (InvalidSignature, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return True


def _raw(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
