"""Every URL has an access policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"
# The name in `{% url "name" … %}` and in the tag `nav_link`.
LINK = re.compile(r"""\{%\s*(?:url|nav_link)\s+["']([\w:-]+)["']""")

POLICIES = {
    *("public", "identified", "must_change_password", "must_enroll", "member", "enrolled"),
    *("operator", "approver", "administrator", "token"),
}

# Pages for users who must change a temporary password.
MUST_CHANGE_PASSWORD = {"account_change_password"}

# Pages for users who must set up a required second factor.
MUST_ENROLL = {
    "accounts:factor",
    "accounts:new_passkey",
    "accounts:passkey_registration",
}

# Policies that require neither a permission nor a second factor.
WEAK = {"public", "identified", "must_change_password", "must_enroll", "member"}

# Views that are accessible without signing in. Consider an addition carefully.
PUBLIC = {
    "account_inactive",
    "account_login",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_signup",  # only shows that sign-up is closed
    "accounts:sign_in_code",  # checks that the password was given
    "accounts:sign_in_passkey",  # checks that the password was given
    "accounts:single_sign_on",  # redirects to the provider
    "openid_connect_callback",  # accepts only the response to a request of this session
}


def addresses(
    patterns: list[URLPattern | URLResolver] | None = None, prefix: str = "", namespace: str = ""
) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield the route, the full name and the view of every URL."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from addresses(pattern.url_patterns, route, inner)
        else:
            yield route, f"{namespace}{pattern.name or route}", pattern.callback


ADDRESSES = list(addresses())


def test_every_link_in_a_template_has_a_url() -> None:
    linked = {
        name: str(path.relative_to(TEMPLATES))
        for path in TEMPLATES.rglob("*.html")
        for name in LINK.findall(path.read_text(encoding="utf-8"))
    }
    missing = linked.keys() - {name for _, name, _ in ADDRESSES}

    assert linked
    assert not missing, f"links without a URL: {sorted((linked[name], name) for name in missing)}"


@pytest.mark.parametrize(("route", "view"), [(route, view) for route, _, view in ADDRESSES])
def test_every_view_has_a_policy(route: str, view: Callable[..., Any]) -> None:
    policy = getattr(view, "policy", None)
    assert policy in POLICIES, f"{route}: {view.__module__}.{view.__name__} has no policy"


def test_only_listed_views_are_public() -> None:
    public = {name for _, name, view in ADDRESSES if getattr(view, "policy", None) == "public"}
    assert public <= PUBLIC, f"public, but not in the list: {sorted(public - PUBLIC)}"


def test_setup_policies_are_limited_to_the_setup_pages() -> None:
    assert {
        name for _, name, view in ADDRESSES if getattr(view, "policy", None) == "must_change_password"
    } == MUST_CHANGE_PASSWORD
    assert {
        name for _, name, view in ADDRESSES if getattr(view, "policy", None) == "must_enroll"
    } == MUST_ENROLL


def test_step_up_is_used_only_with_a_permission_or_a_second_factor() -> None:
    weak = [
        name
        for _, name, view in ADDRESSES
        if getattr(view, "step_up", False) and view.policy in WEAK  # type: ignore[attr-defined]
    ]
    assert weak == []


def test_url_names_are_unique() -> None:
    names = [name for _, name, _ in ADDRESSES]
    assert len(names) == len(set(names))
