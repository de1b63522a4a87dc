"""The identity that an OpenID Connect provider reports."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.socialaccount.models import SocialLogin
from django.conf import settings

from deployctl.accounts import names
from deployctl.errors import NotAllowed


@dataclass(frozen=True)
class Identity:
    """The identity of a person who signed in at the provider.

    Attributes:
        email: the e-mail address in lower case; "" if it is missing.
        is_verified: whether the provider has verified the address.
        name: the name without invalid characters, so that an odd name doesn't block the sign-in.
        authenticated_at: the time of the last sign-in there, in seconds since 1970; None if it is missing.
    """

    email: str
    is_verified: bool
    name: str
    authenticated_at: int | None

    @classmethod
    def from_login(cls, login: SocialLogin) -> Identity:
        """Read the claims of the ID token and the userinfo endpoint.

        Raises:
            NotAllowed: the claims come from another issuer, belong to another sign-in, or are about two
                people.
        """
        token = login.account.extra_data.get("id_token") or {}
        userinfo = login.account.extra_data.get("userinfo") or {}
        state = login.state.get("data") or {}
        # The library compares the issuer only with the provider's metadata, so it is compared with the
        # setting here (OpenID Connect Discovery 1.0, 4.3).
        if token and str(token.get("iss", "")).rstrip("/") != settings.OIDC_ISSUER:
            raise NotAllowed(
                f"{settings.OIDC_NAME} responded as a different issuer than OIDC_ISSUER. Nothing was changed."
                " Ask your administrator to compare OIDC_ISSUER with the provider's metadata."
            )
        # OpenID Connect Core 1.0, 3.1.3.7 (nonce) and 5.3.2 (sub).
        is_same_person = userinfo.get("sub", "") == token.get("sub")
        if not token or token.get("nonce") != state.get("nonce") or not is_same_person:
            raise NotAllowed(
                f"The response from {settings.OIDC_NAME} doesn't belong to this sign-in. You aren't signed"
                " in. Start again from the sign-in page."
            )
        claims = token | userinfo
        at = token.get("auth_time")
        return cls(
            email=str(claims.get("email") or "").strip().lower(),
            is_verified=claims.get("email_verified") in (True, "true"),
            name=names.clean(str(claims.get("name") or "")),
            authenticated_at=at if isinstance(at, int) else None,
        )
