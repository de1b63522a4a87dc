"""A real OpenID Connect provider on loopback, as a process of its own, and people who sign in there."""

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

STARTS_WITHIN_S = 90
ANSWERS_WITHIN_S = 60


@dataclass(frozen=True)
class Provider:
    """Where it listens."""

    url: str

    def knows(self, number: str, **facts: Any) -> None:
        """Let it say this about a person, from now on.

        Args:
            number: the `sub` of the person.
            facts: further claims, such as `email`; `auth_time` in seconds since 1970.
        """
        requests.put(f"{self.url}/users/{number}", json=facts, timeout=ANSWERS_WITHIN_S).raise_for_status()

    def authorize(self, departure: Any, number: str) -> str:
        """Sign a person in there, as one whom this answer of ours sent; the way back, as a path."""
        answer = requests.post(
            departure["Location"], data={"sub": number}, allow_redirects=False, timeout=ANSWERS_WITHIN_S
        )
        assert answer.status_code == 302, answer.text
        back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"

    def sign_in(self, client: Client, number: str, following: str = "/") -> Any:
        """The whole way from our sign-in page to the answer of our callback."""
        departure = client.post("/account/sso/", {"next": following})
        return client.get(self.authorize(departure, number))


def asked_for(departure: Any) -> dict[str, str]:
    """What we asked the provider for."""
    return {name: values[0] for name, values in parse_qs(urlsplit(departure["Location"]).query).items()}


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    """The process, one for the tests of a worker."""
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
    """The provider, configured here."""
    settings.OIDC_ISSUER = running_provider.url
    settings.OIDC_NAME = "Acme"
    settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "deployctl", "secret"
    settings.OIDC_DOMAINS = []
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = ANSWERS_WITHIN_S
    return running_provider


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(
                f"{url}/.well-known/openid-configuration", timeout=ANSWERS_WITHIN_S
            ).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("The provider did not come up.")
