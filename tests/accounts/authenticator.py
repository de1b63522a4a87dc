"""A software authenticator that creates passkeys and signs challenges (WebAuthn Level 3)."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.test import Client
from webauthn.helpers import bytes_to_base64url

from deployctl.accounts.models import Passkey, User

ORIGIN = "http://localhost"
USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """An authenticator with one passkey.

    Attributes:
        origin: the origin that the browser reports.
        verifies: whether it verifies the user.
        count: the signature counter.
    """

    origin: str = ORIGIN
    verifies: bool = True
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    identifier: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def create(self, options: dict[str, Any]) -> str:
        """Return the result of `navigator.credentials.create`, as JSON."""
        numbers = self.key.public_key().public_numbers()
        # COSE_Key of an ES256 key on P-256 (RFC 9053, 2.1 and 7.1).
        public = cbor2.dumps(
            {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )
        attested = bytes(16) + len(self.identifier).to_bytes(2, "big") + self.identifier + public
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client_data("webauthn.create", options)
        return self._credential(clientDataJSON=client, attestationObject=statement)

    def get(self, options: dict[str, Any]) -> str:
        """Return the result of `navigator.credentials.get`, as JSON."""
        self.count += 1
        client = self._client_data("webauthn.get", options)
        data = self._data(options["rpId"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._credential(clientDataJSON=client, authenticatorData=data, signature=signature)

    def _data(self, domain: str, flags: int = 0) -> bytes:
        flags |= USER_PRESENT | (USER_VERIFIED if self.verifies else 0)
        return hashlib.sha256(domain.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        return json.dumps({"type": kind, "challenge": options["challenge"], "origin": self.origin}).encode()

    def _credential(self, **response: bytes) -> str:
        identifier = bytes_to_base64url(self.identifier)
        encoded = {name: bytes_to_base64url(value) for name, value in response.items()}
        return json.dumps(
            {"id": identifier, "rawId": identifier, "type": "public-key", "response": encoded}
            | {"clientExtensionResults": {}}
        )


def browser() -> Client:
    """Return a client at an address where passkeys are available."""
    return Client(SERVER_NAME="localhost")


def options_for(client: Client, about: str = "") -> dict[str, Any]:
    """Return the passkey options for a signed-in person."""
    response = client.post(
        f"/account/passkeys/challenge/?about={about}" if about else "/account/passkeys/challenge/"
    )
    assert response.status_code == 200, response.content
    return dict(response.json())


def add_passkey(client: Client, user: User, name: str = "Work laptop") -> Authenticator:
    """Add a passkey for a person who is signed in with a fresh code or without a second factor."""
    authenticator = Authenticator()
    response = authenticator.create(client.post("/account/passkeys/registration/").json())
    client.post("/account/passkeys/new/", {"name": name, "passkey": response})
    assert Passkey.objects.filter(user=user, name=name).exists()
    return authenticator
