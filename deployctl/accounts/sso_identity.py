"""What an OpenID Connect provider says of somebody who signed in there."""

from __future__ import annotations

from dataclasses import dataclass

from allauth.socialaccount.models import SocialLogin
from django.conf import settings

from deployctl.accounts import names
from deployctl.errors import NotAllowed


@dataclass(frozen=True)
class Identity:
    """What the provider says of who signed in there.

    Attributes:
        email: the address, in lower case; "" where none is said.
        is_verified: whether the provider says that the address is theirs.
        name: as the provider writes it, without what names cannot hold here; nobody is locked out by it.
        authenticated_at: when they last proved it there, in seconds since 1970; None where it is not said.
    """

    email: str
    is_verified: bool
    name: str
    authenticated_at: int | None

    @classmethod
    def of(cls, login: SocialLogin) -> Identity:
        """Read the ID token and what the provider says besides.

        Raises:
            NotAllowed: they are not of the issuer that was set, not about this very sign-in, or not about one
                and the same person.
        """
        token = login.account.extra_data.get("id_token") or {}
        more = login.account.extra_data.get("userinfo") or {}
        asked = login.state.get("data") or {}
        # The metadata say which issuer the library compares with, so the one that was set is compared here
        # (OpenID Connect Discovery 1.0, 4.3).
        if token and str(token.get("iss", "")).rstrip("/") != settings.OIDC_ISSUER:
            raise NotAllowed(
                f"{settings.OIDC_NAME} answered as another issuer than the one set here. Nothing was changed."
                " Ask your administrator to compare OIDC_ISSUER with the provider's metadata."
            )
        # OpenID Connect Core 1.0, 3.1.3.7 (nonce) and 5.3.2 (sub).
        if not token or token.get("nonce") != asked.get("nonce") or more.get("sub", "") != token.get("sub"):
            raise NotAllowed(
                f"The answer of {settings.OIDC_NAME} does not belong to this sign-in. You are not signed in."
                " Start again from the sign-in page."
            )
        facts = token | more
        at = token.get("auth_time")
        return cls(
            email=str(facts.get("email") or "").strip().lower(),
            is_verified=facts.get("email_verified") in (True, "true"),
            name=names.cleaned(str(facts.get("name") or "")),
            authenticated_at=at if isinstance(at, int) else None,
        )
