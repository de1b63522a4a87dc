"""The ID token of single sign-on counts if the provider signed it, though it came from there over TLS."""

from __future__ import annotations

import base64
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
from tests.accounts.provider import asked_for

OURS, OTHERS = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
PUBLISHED = json.loads(ECAlgorithm.to_jwk(OURS.public_key())) | {"kid": "1", "alg": "ES256", "use": "sig"}
# Who can read the published key, which is everybody, can sign with it as a password.
PUBLISHED_AS_PASSWORD = PUBLISHED["x"].encode()

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_IN_FULL = json.loads(RSAAlgorithm.to_jwk(RSA.public_key()))
RSA_PUBLISHED = {member: RSA_IN_FULL[member] for member in ("kty", "n", "e")}

SHARED = b"no secret, as it is published .."


class Provider:
    """A provider whose tokens are signed as a test has it."""

    kid: str | None

    def __init__(self) -> None:
        answers: dict[str, Any] = {}
        self.answers, self.kid = answers, "1"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answers[self.path.partition("?")[0]]).encode()
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
        answers["/.well-known/openid-configuration"] = {
            "issuer": self.url,
            **{f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token", "userinfo")},
            "jwks_uri": f"{self.url}/keys",
        }
        answers["/keys"] = {"keys": [PUBLISHED]}
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}).start()

    def sign_in(self, client: Client, key: Any, algorithm: str) -> Any:
        """Ask to sign in, and come back to a token signed so."""
        asked = asked_for(client.post("/account/sso/"))
        person = {"sub": "dana-1", "email": "dana.baker@example.org", "email_verified": True}
        now = int(time.time())
        claims = {"iss": self.url, "aud": "deployctl", "iat": now, "exp": now + 60, "nonce": asked["nonce"]}
        token = jwt.encode(
            claims | person, key, algorithm=algorithm, headers={"kid": self.kid} if self.kid else None
        )
        self.answers["/token"] = {"access_token": "a", "token_type": "bearer", "id_token": token}
        self.answers["/userinfo"] = person
        return client.get(f"/account/sso/sso/callback/?code=c&state={asked['state']}")


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    one = Provider()
    settings.OIDC_ISSUER, settings.OIDC_NAME = one.url, "Acme"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "deployctl", "secret"
    yield one
    one.server.shutdown()
    one.server.server_close()


def refused(client: Client, answer: Any) -> None:
    assert answer.status_code == 409
    assert "could not confirm who you are" in answer.content.decode()
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize("kid", ["1", None], ids=["named key", "only key"])
def test_a_token_that_the_provider_signed_lets_in(
    client: Client, dba: User, provider: Provider, kid: str | None
) -> None:
    provider.kid = kid
    assert provider.sign_in(client, OURS, "ES256").status_code == 302
    assert client.get("/account/").status_code == 200


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(OTHERS, "ES256"), (None, "none"), (PUBLISHED_AS_PASSWORD, "HS256"), (SHARED, "HS256")],
    ids=["another key", "no signature", "the published key as a password", "a published password"],
)
@pytest.mark.parametrize("kid", ["1", None, "2"])
def test_a_token_that_somebody_else_signed_lets_nobody_in(
    client: Client, dba: User, provider: Provider, key: Any, algorithm: str, kid: str | None
) -> None:
    provider.kid = kid
    provider.answers["/keys"]["keys"].append(
        {"kty": "oct", "k": base64.urlsafe_b64encode(SHARED).decode(), "kid": "2", "alg": "HS256"}
    )
    refused(client, provider.sign_in(client, key, algorithm))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
@pytest.mark.parametrize("kid", ["1", None])
def test_a_published_key_needs_to_name_neither_its_algorithm_nor_itself(
    client: Client, dba: User, provider: Provider, algorithm: str, kid: str | None
) -> None:
    provider.kid = kid
    provider.answers["/keys"] = {"keys": [RSA_PUBLISHED]}
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
        ({}, OTHERS, "ES256"),
        ({"alg": "RS256"}, RSA, "PS256"),
        ({"kid": "2"}, RSA, "RS256"),
    ],
    ids=[
        "its number as a password",
        "its text as a password",
        "as a password, as it says",
        "no signature, as it says",
        "no signature",
        "a key of another type",
        "not by its algorithm",
        "not by the key that is named",
    ],
)
def test_a_key_without_names_lets_nobody_in_whose_token_it_did_not_sign(
    client: Client, dba: User, provider: Provider, named: dict[str, str], key: Any, algorithm: str
) -> None:
    provider.answers["/keys"] = {"keys": [RSA_PUBLISHED | named]}
    refused(client, provider.sign_in(client, key, algorithm))


def test_the_file_of_a_published_key_is_no_password(client: Client, dba: User, provider: Provider) -> None:
    provider.answers["/keys"] = {"keys": [RSA_PUBLISHED]}
    # PyJWT makes no such token: it knows the file of a public key when it sees one.
    file = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwt.algorithms.is_pem_format", lambda _key: False)
        answer = provider.sign_in(
            client,
            file,
            "HS256",
        )
    refused(client, answer)


@pytest.mark.parametrize(
    "published",
    [
        [],
        ["keys"],
        {},
        {"keys": {}},
        {"keys": [3, [], {"kty": []}, {"kty": "RSA", "alg": []}, {"kty": "EC", "x": 1}]},
    ],
    ids=["a list", "a list of words", "nothing", "no list of keys", "no keys in the list"],
)
def test_what_is_no_set_of_keys_is_said_in_a_sentence(
    client: Client, dba: User, provider: Provider, published: Any
) -> None:
    provider.answers["/keys"] = published
    refused(client, provider.sign_in(client, OURS, "ES256"))
