"""Test settings that are derived from others."""

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
def test_passkeys_use_the_first_allowed_host_that_is_a_domain(hosts: list[str], domain: str) -> None:
    assert environment.first_domain(hosts) == domain


def test_the_origin_of_a_url_has_no_path() -> None:
    assert environment.origin("https://id.example.org:8443/realms/staff") == "https://id.example.org:8443"
