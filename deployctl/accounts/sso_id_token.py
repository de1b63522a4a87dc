"""Verify the signature of the single sign-on provider's ID token."""

from __future__ import annotations

from typing import Any, cast

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

# The permitted algorithms per key type. Shared keys (`oct`) are missing, because a published one proves
# nothing. No algorithm uses a public key as a shared one.
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512", "ES256K"),
    "OKP": ("EdDSA",),
}


class VerifyingAdapter(OpenIDConnectOAuth2Adapter):
    """The OpenID Connect adapter of django-allauth, which also verifies the signature of the ID token.

    django-allauth skips this if the token comes from the provider over TLS, as OpenID Connect Core 1.0,
    3.1.3.7, allows. Its own verification only supports keys with a `kid`, which a provider with a single key
    can omit.
    """

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        """Verify the signature, then complete the login.

        Raises:
            jwt.PyJWTError: no published key matches the signature.
        """
        if id_token := kwargs["response"].get("id_token"):
            with get_adapter(request).get_requests_session() as session:  # type: ignore[no-untyped-call]
                response = session.get(self.openid_config["jwks_uri"])
                response.raise_for_status()
            verify_signature(id_token, response.json())
        return cast("SocialLogin", super().complete_login(request, app, token, **kwargs))


def verify_signature(id_token: str, jwks: Any) -> None:
    """Verify that one of the keys signed the token, with an algorithm of its type.

    Args:
        id_token: the token in compact form.
        jwks: the provider's published keys, normally a JWK Set (RFC 7517, 5).

    Raises:
        jwt.PyJWTError: no key matches.
    """
    header = jwt.get_unverified_header(id_token)
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list):
        raise jwt.PyJWKSetError("The provider's keys aren't a JWK Set.")
    if not any(_is_signed_by(key, id_token, header) for key in keys if isinstance(key, dict)):
        raise jwt.InvalidSignatureError("None of the provider's published keys signed the ID token.")


def _is_signed_by(key: dict[str, Any], id_token: str, header: dict[str, Any]) -> bool:
    """Return True if a key signed the token; `kid` and the key's `alg` are optional (RFC 7517)."""
    algorithm, name = header.get("alg"), header.get("kid")
    if name is not None and key.get("kid") not in (None, name):
        return False
    if algorithm not in ALGORITHMS.get(str(key.get("kty")), ()) or key.get("alg") not in (None, algorithm):
        return False
    try:
        jwt.PyJWS().decode(id_token, jwt.PyJWK(key, algorithm), algorithms=[algorithm])
    except jwt.PyJWTError:
        return False
    return True
