"""The signature of the ID token is verified, even though the token comes over TLS."""

from __future__ import annotations

import base64
import html
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from deployctl.accounts.models import User
from tests.accounts.provider import authorization_parameters

OURS, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
PUBLISHED = json.loads(ECAlgorithm.to_jwk(OURS.public_key())) | {"kid": "1", "alg": "ES256", "use": "sig"}
# Anybody can read the published key and sign with it as a shared key.
PUBLISHED_AS_SHARED_KEY = PUBLISHED["x"].encode()

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_IN_FULL = json.loads(RSAAlgorithm.to_jwk(RSA.public_key()))
RSA_PUBLISHED = {member: RSA_IN_FULL[member] for member in ("kty", "n", "e")}

SHARED = b"a published key isn.t a secret ..."


class Provider:
    """A provider whose tokens are signed with a key of the test."""

    kid: str | None

    def __init__(self) -> None:
        responses: dict[str, Any] = {}
        self.responses, self.kid = responses, "1"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(responses[self.path.partition("?")[0]]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        responses["/.well-known/openid-configuration"] = {
            "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token", "userinfo")},
            "jwks_uri": f"{self.url}/keys",
        }
        responses["/keys"] = {"keys": [PUBLISHED]}
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def sign_in(self, client: Client, key: Any, algorithm: str) -> Any:
        """Sign in with a token that is signed with this key."""
        parameters = authorization_parameters(client.post("/account/sso/"))
        person = {"sub": "dana-1", "email": "dana.baker@example.org", "email_verified": True}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "deployctl",
            "iat": now,
            "exp": now + 60,
            "nonce": parameters["nonce"],
        }
        token = jwt.encode(
            claims | person, key, algorithm=algorithm, headers={"kid": self.kid} if self.kid else None
        )
        self.responses["/token"] = {"access_token": "a", "token_type": "bearer", "id_token": token}
        self.responses["/userinfo"] = person
        return client.get(f"/account/sso/sso/callback/?code=c&state={parameters['state']}")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    running = Provider()
    settings.OIDC_ISSUER, settings.OIDC_NAME = running.url, "Acme"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "deployctl", "secret"
    yield running
    running.server.shutdown()
    running.server.server_close()


def assert_rejected(client: Client, response: Any) -> None:
    assert response.status_code == 409
    assert "couldn't confirm your identity" in html.unescape(response.content.decode())
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize("kid", ["1", None], ids=["with kid", "without kid"])
def test_a_token_signed_by_the_provider_is_accepted(
    client: Client, dba: User, provider: Provider, kid: str | None
) -> None:
    provider.kid = kid
    assert provider.sign_in(client, OURS, "ES256").status_code == 302
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(OTHER, "ES256"), (None, "none"), (PUBLISHED_AS_SHARED_KEY, "HS256"), (SHARED, "HS256")],
    ids=["another key", "no signature", "the published key as a shared key", "a published shared key"],
)
@pytest.mark.parametrize("kid", ["1", None, "2"])
def test_a_token_signed_by_another_key_is_rejected(
    client: Client, dba: User, provider: Provider, key: Any, algorithm: str, kid: str | None
) -> None:
    provider.kid = kid
    provider.responses["/keys"]["keys"].append(
        {"kty": "oct", "k": base64.urlsafe_b64encode(SHARED).decode(), "kid": "2", "alg": "HS256"}
    )
    assert_rejected(client, provider.sign_in(client, key, algorithm))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
@pytest.mark.parametrize("kid", ["1", None])
def test_alg_and_kid_of_a_published_key_are_optional(
    client: Client, dba: User, provider: Provider, algorithm: str, kid: str | None
) -> None:
    provider.kid = kid
    provider.responses["/keys"] = {"keys": [RSA_PUBLISHED]}
    assert provider.sign_in(client, RSA, algorithm).status_code == 302
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("named", "key", "algorithm"),
    [
        ({}, RSA.public_key().public_numbers().n.to_bytes(256), "HS256"),
        ({}, RSA_PUBLISHED["n"].encode(), "HS256"),
        ({"alg": "HS256"}, RSA_PUBLISHED["n"].encode(), "HS256"),
        ({"alg": "none"}, None, "none"),
        ({}, None, "none"),
        ({}, OTHER, "ES256"),
        ({"alg": "RS256"}, RSA, "PS256"),
        ({"kid": "2"}, RSA, "RS256"),
    ],
    ids=[
        "its modulus as a shared key",
        "its text as a shared key",
        "as a shared key with the alg it names",
        "no signature with the alg it names",
        "no signature",
        "a key of another type",
        "another algorithm than its own",
        "another kid",
    ],
)
def test_a_token_not_signed_by_the_published_key_is_rejected(
    client: Client, dba: User, provider: Provider, named: dict[str, str], key: Any, algorithm: str
) -> None:
    provider.responses["/keys"] = {"keys": [RSA_PUBLISHED | named]}
    assert_rejected(client, provider.sign_in(client, key, algorithm))


def test_a_public_key_file_is_rejected_as_a_shared_key(client: Client, dba: User, provider: Provider) -> None:
    provider.responses["/keys"] = {"keys": [RSA_PUBLISHED]}
    # PyJWT refuses to create such a token, because it recognizes public key files.
    file = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt.algorithms.is_pem_format", lambda _key: False)
        response = provider.sign_in(
            client,
            file,
            "HS256",
        )
    assert_rejected(client, response)


@pytest.mark.parametrize(
    "published",
    [
        [],
        ["keys"],
        {},
        {"keys": {}},
        {"keys": [3, [], {"kty": []}, {"kty": "RSA", "alg": []}, {"kty": "EC", "x": 1}]},
    ],
    ids=["a list", "a list of strings", "nothing", "keys is not a list", "no valid keys in the list"],
)
def test_an_invalid_key_set_shows_a_message(
    client: Client, dba: User, provider: Provider, published: Any
) -> None:
    provider.responses["/keys"] = published
    assert_rejected(client, provider.sign_in(client, OURS, "ES256"))
