"""Security headers and cookies of responses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from deployctl.accounts.models import User

# A separate process, because settings depend on HTTPS when they are read.
READ = """
import json
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in dir(settings) if name.startswith(
    ("DEBUG", "SECURE_", "SESSION_COOKIE_", "CSRF_COOKIE_"))}, default=str))
"""
ADDRESSES = ["/account/login/", "/nothing-here/", "/", "/live/?channel=nonsense"]


@pytest.fixture
def behind_https(settings: Any) -> Client:
    settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 31_536_000, True
    return Client()


@pytest.fixture(scope="module")
def with_https() -> dict[str, Any]:
    environment = os.environ | {"HTTPS": "1", "DJANGO_SETTINGS_MODULE": configured.SETTINGS_MODULE}
    read = subprocess.run(
        [sys.executable, "-c", READ], env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(read.stdout)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_response_has_the_security_headers(behind_https: Client, address: str) -> None:
    answer = behind_https.get(address, secure=True)
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in answer["Content-Security-Policy"].split(";")
        if part.strip()
    )

    for directive in ("default-src", "object-src", "base-uri", "frame-ancestors"):
        assert policy[directive] == "'none'", directive
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "Access-Control-Allow-Origin" not in answer


def test_static_files_cannot_be_embedded_by_other_sites(behind_https: Client, settings: Any) -> None:
    # Serve files from the source folders; collected files use the same middleware.
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True
    answer = behind_https.head("/static/icon.svg", secure=True)
    assert answer["Content-Type"] == "image/svg+xml"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


def test_behind_https_cookies_are_secure_and_bound_to_the_host(
    with_https: dict[str, Any],
) -> None:
    for cookie in ("SESSION", "CSRF"):
        cookie_settings = {
            name: with_https[f"{cookie}_COOKIE_{name}"]
            for name in ("SECURE", "HTTPONLY", "SAMESITE", "DOMAIN")
        }
        assert cookie_settings == {"SECURE": True, "HTTPONLY": True, "SAMESITE": "Lax", "DOMAIN": None}
        assert with_https[f"{cookie}_COOKIE_NAME"].startswith("__Host-")
        assert with_https[f"{cookie}_COOKIE_PATH"] == "/"


def test_behind_https_hsts_lasts_a_year(with_https: dict[str, Any]) -> None:
    assert with_https["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert with_https["SECURE_HSTS_INCLUDE_SUBDOMAINS"]


def test_there_are_two_cookies_which_no_script_can_read(dba: User, signed_in: Any) -> None:
    browser = signed_in(dba)
    # Saving creates a message for the next page.
    browser.post("/account/", {"name": "Dana Baker", "phone": "", "timezone": "UTC"})
    notice = browser.get("/account/")

    assert "Saved." in notice.content.decode()
    assert set(browser.cookies) <= {configured.SESSION_COOKIE_NAME, configured.CSRF_COOKIE_NAME}
    assert all(cookie["httponly"] for cookie in browser.cookies.values() if cookie.value)


def test_debugging_is_off_by_default(with_https: dict[str, Any]) -> None:
    assert with_https["DEBUG"] is False


@pytest.mark.parametrize("address", ["/", "/account/", "/deployments/"])
def test_trace_requests_are_rejected(dba: User, signed_in: Any, address: str) -> None:
    assert signed_in(dba).trace(address).status_code == 405


def test_the_local_storage_holds_one_setting() -> None:
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in (configured.BASE_DIR / "static/js").glob("*.js")
    )

    assert len(re.findall(r"localStorage\.(?:get|set)Item\(SWITCH", scripts)) == scripts.count("localStorage")
    for storage in ("sessionStorage", "indexedDB", "document.cookie"):
        assert storage not in scripts
