"""What a provider says of a person is taken only from the provider that was set."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount, SocialLogin

from deployctl.accounts.sso_identity import Identity
from deployctl.errors import NotAllowed


def said_by(issuer: str) -> SocialLogin:
    """An answer to a sign-in of ours."""
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
def test_the_issuer_that_was_set_is_believed(settings: Any, issuer: str) -> None:
    settings.OIDC_ISSUER = "https://id.example.org"

    assert Identity.from_login(said_by(issuer)).email == "dana@example.org"


@pytest.mark.parametrize("issuer", ["https://id.example.net", "https://id.example.org/other", ""])
def test_another_issuer_is_not(settings: Any, issuer: str) -> None:
    settings.OIDC_ISSUER = "https://id.example.org"

    with pytest.raises(NotAllowed, match="another issuer than the one set here"):
        Identity.from_login(said_by(issuer))
