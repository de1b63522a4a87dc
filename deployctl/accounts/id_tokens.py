"""Whether the provider of single sign-on signed an ID token."""

from __future__ import annotations

from typing import Any, cast

import jwt
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

# A key that both sides share proves nothing when it is published, so such keys are passed over.
SHARED = "oct"


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
            require_signature(id_token, jwt.PyJWKSet.from_dict(answer.json()))
        return cast("SocialLogin", super().complete_login(request, app, token, **kwargs))


def require_signature(id_token: str, published: jwt.PyJWKSet) -> None:
    """Refuse a token that none of the keys signed, each by its own algorithm.

    Raises:
        jwt.PyJWTError: none did.
    """
    wanted = jwt.get_unverified_header(id_token).get("kid")
    for key in published.keys:
        if key.key_type == SHARED or wanted not in {None, key.key_id}:
            continue
        try:
            jwt.PyJWS().decode(id_token, key, algorithms=[key.algorithm_name])
        except jwt.InvalidTokenError:
            continue
        return
    raise jwt.InvalidSignatureError("No key that the provider publishes made the signature of its ID token.")
