"""Whether the provider of single sign-on signed an ID token."""

from __future__ import annotations

from typing import Any, cast

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

# By what a published key may sign, by its type. A key that both sides share (`oct`) proves nothing when it is
# published, and no algorithm takes a public key for a shared one.
ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512", "ES256K"),
    "OKP": ("EdDSA",),
}


class Protocol(OpenIDConnectOAuth2Adapter):
    """django-allauth's way to the provider, which looks at the signature of the ID token as well.

    django-allauth leaves it out where the token comes over TLS from the provider itself, as OpenID Connect
    Core 1.0, 3.1.3.7, allows; where it does look, it knows only keys with a `kid`, which one alone needs not.
    """

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        """Look at the signature, then at the rest, as ever.

        Raises:
            jwt.PyJWTError: none of the published keys made the signature.
        """
        if id_token := kwargs["response"].get("id_token"):
            with get_adapter(request).get_requests_session() as session:  # type: ignore[no-untyped-call]
                answer = session.get(self.openid_config["jwks_uri"])
                answer.raise_for_status()
            require_signature(id_token, answer.json())
        return cast("SocialLogin", super().complete_login(request, app, token, **kwargs))


def require_signature(id_token: str, published: Any) -> None:
    """Refuse a token that none of the keys signed, each by its own algorithm.

    Args:
        id_token: as it came.
        published: what the provider publishes as its keys: a JWK Set (RFC 7517, 5), unless it is broken.

    Raises:
        jwt.PyJWTError: none did.
    """
    header = jwt.get_unverified_header(id_token)
    keys = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(keys, list):
        raise jwt.PyJWKSetError("What the provider publishes as its keys is no JWK Set.")
    if not any(_made(id_token, key, header) for key in keys if isinstance(key, dict)):
        raise jwt.InvalidSignatureError(
            "No key that the provider publishes made the signature of its ID token."
        )


def _made(id_token: str, key: dict[str, Any], header: dict[str, Any]) -> bool:
    """Whether a key made the signature; neither has to name the key, nor the key its algorithm (RFC 7517)."""
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
