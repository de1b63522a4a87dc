"""Claims are accepted only from the configured issuer."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount, SocialLogin

from deployctl.accounts.sso_identity import Identity
from deployctl.errors import NotAllowed


def login_from(issuer: str) -> SocialLogin:
    """Return the login that an issuer's response creates."""
    token = {
        "iss": issuer,
        "sub": "dana-1",
        "nonce": "n",
        "email": "Dana@example.org",
        "email_verified": True,
    }
    login = SocialLogin(account=SocialAccount(extra_data={"id_token": token, "userinfo": {"sub": "dana-1"}}))
    login.state = {"data": {"nonce": "n"}}
    return login


@pytest.mark.parametrize("issuer", ["https://id.example.org", "https://id.example.org/"])
def test_the_configured_issuer_is_accepted(settings: Any, issuer: str) -> None:
    settings.OIDC_ISSUER = "https://id.example.org"

    assert Identity.from_login(login_from(issuer)).email == "dana@example.org"


@pytest.mark.parametrize("issuer", ["https://id.example.net", "https://id.example.org/other", ""])
def test_another_issuer_is_denied(settings: Any, issuer: str) -> None:
    settings.OIDC_ISSUER = "https://id.example.org"

    with pytest.raises(NotAllowed, match="a different issuer than OIDC_ISSUER"):
        Identity.from_login(login_from(issuer))
