"""Settings that are derived from others."""

from __future__ import annotations

import pytest

from deployctl import environment


@pytest.mark.parametrize(
    ("hosts", "domain"),
    [
        ([], "localhost"),
        (["localhost", "127.0.0.1", "[::1]"], "localhost"),
        (["10.0.0.7", "*", "deployctl.example.org", "localhost"], "deployctl.example.org"),
        ([".Example.org", "localhost"], "example.org"),
    ],
)
def test_the_passkey_domain_is_the_first_allowed_domain_name(hosts: list[str], domain: str) -> None:
    assert environment.first_domain(hosts) == domain


def test_the_origin_is_scheme_host_and_port() -> None:
    assert environment.origin("https://id.example.org:8443/realms/staff") == "https://id.example.org:8443"
