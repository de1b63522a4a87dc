"""A real OpenID Connect provider, which runs as a separate process on localhost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from tests.processes import free_port, terminate

START_TIMEOUT_S = 90
TIMEOUT_S = 60


@dataclass(frozen=True)
class Provider:
    """A running provider."""

    url: str

    def set_claims(self, sub: str, **claims: Any) -> None:
        """Set the claims of a person.

        Args:
            sub: the person's subject identifier.
            claims: other claims, such as `email`; `auth_time` in seconds since 1970.
        """
        requests.put(f"{self.url}/users/{sub}", json=claims, timeout=TIMEOUT_S).raise_for_status()

    def authorize(self, redirect: Any, sub: str) -> str:
        """Sign a person in at the provider, and return the path of the callback."""
        response = requests.post(
            redirect["Location"], data={"sub": sub}, allow_redirects=False, timeout=TIMEOUT_S
        )
        assert response.status_code == 302, response.text
        callback = urlsplit(response.headers["Location"])
        return f"{callback.path}?{callback.query}"

    def sign_in(self, client: Client, sub: str, next_page: str = "/") -> Any:
        """Sign in through the provider, and return the response of the callback."""
        redirect = client.post("/account/sso/", {"next": next_page})
        return client.get(self.authorize(redirect, sub))


def authorization_parameters(redirect: Any) -> dict[str, str]:
    """Return the parameters of a redirect to the provider."""
    return {name: values[0] for name, values in parse_qs(urlsplit(redirect["Location"]).query).items()}


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    """Start the provider once per test worker."""
    port = free_port()
    environment = os.environ | {"AUTHLIB_INSECURE_TRANSPORT": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process)
        yield Provider(url)
    finally:
        terminate(process)


@pytest.fixture
def provider(running_provider: Provider, settings: Any) -> Provider:
    """Return the provider, configured in the settings."""
    settings.OIDC_ISSUER = running_provider.url
    settings.OIDC_NAME = "Acme"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "deployctl", "secret"
    settings.OIDC_DOMAINS = []
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = TIMEOUT_S
    return running_provider


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(f"{url}/.well-known/openid-configuration", timeout=TIMEOUT_S).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The provider did not start.")
