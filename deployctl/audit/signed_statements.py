"""Ed25519 signatures over JSON statements. No Django: the offline verifier uses it too.

A sealed statement is a JSON object with two more members: `public_key`, and `signature` over the canonical
JSON (RFC 8785) of everything else. Each kind of statement names itself in `schema`, so that none passes for
another.
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
    """What was given is no Ed25519 key."""


def new_key() -> str:
    """A new private key, as PEM (PKCS 8, not encrypted: the file's permissions protect it)."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def read_private(pem: str) -> Ed25519PrivateKey:
    """A private key from its PEM.

    Raises:
        UnusableKey: it is none, is encrypted, or is of another kind.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise UnusableKey("it holds no private key in PEM, or an encrypted one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UnusableKey("it holds a key of another kind than Ed25519")
    return key


def read_public(text: str) -> str:
    """A public key in hexadecimal, from its PEM or from hexadecimal.

    Raises:
        UnusableKey: it is neither.
    """
    if "-----BEGIN" in text:
        try:
            key = load_pem_public_key(text.encode())
        except (ValueError, TypeError) as error:
            raise UnusableKey("it holds no public key in PEM") from error
        if not isinstance(key, Ed25519PublicKey):
            raise UnusableKey("it holds a key of another kind than Ed25519")
        return _raw(key)
    bare = text.strip().lower()
    if len(bare) != KEY_DIGITS or not all(digit in "0123456789abcdef" for digit in bare):
        raise UnusableKey(f"a public key is PEM or {KEY_DIGITS} hexadecimal digits")
    return bare


def public_of(private: Ed25519PrivateKey) -> str:
    """The public key that belongs to a private one, in hexadecimal."""
    return _raw(private.public_key())


def public_pem(public_key: str) -> str:
    """A public key as PEM, for other programs."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def fingerprint(public_key: str) -> str:
    """SHA-256 of a public key (hexadecimal, its 32 bytes), in hexadecimal: what people compare and trust."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()


def sign(statement: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The statement with the public key and the signature."""
    said = {**statement, "public_key": public_of(key)}
    return {**said, "signature": key.sign(rfc8785.dumps(said)).hex()}


def has_valid_signature(statement: Mapping[str, Any]) -> bool:
    """Whether a sealed statement is what the holder of its own public key signed.

    That the key is the right one is another question: compare `public_key` with one that is trusted.
    """
    said = {name: value for name, value in statement.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(said["public_key"]))
        signature = statement["signature"]
        # One spelling only: bytes.fromhex would also take capitals and spaces.
        if signature != signature.lower() or " " in signature:
            return False
        key.verify(bytes.fromhex(signature), rfc8785.dumps(said))
    except (InvalidSignature, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
    return True


def _raw(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
