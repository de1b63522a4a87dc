"""Password validators."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import zxcvbn
from django.contrib.auth.password_validation import get_default_password_validators, validate_password
from django.core.exceptions import ValidationError

from deployctl.accounts.passwords import (
    BreachedPasswordValidator,
    GuessableValidator,
    InstallationWordsValidator,
)
from deployctl.system_checks import breached_passwords_url_is_usable


@pytest.fixture
def own_words(settings: Any) -> InstallationWordsValidator:
    settings.OTP_TOTP_ISSUER = "Acme databases"
    settings.ALLOWED_HOSTS = ["deploy.acme.example", "127.0.0.1"]
    return InstallationWordsValidator()


@pytest.mark.parametrize(
    "password", ["deployctl2031", "Acme-Databases-1", "deploy.acme.example", "DEPLOYCTL-acme-1"]
)
def test_a_password_made_of_installation_words_is_rejected(
    own_words: InstallationWordsValidator, password: str
) -> None:
    with pytest.raises(ValidationError, match="little more than the name of this installation"):
        own_words.validate(password)


def test_other_words_besides_installation_words_are_enough(own_words: InstallationWordsValidator) -> None:
    own_words.validate("acme horse battery")


@pytest.mark.parametrize("password", ["deployctl-2031", "elevenchars", "qwerty123456789"])
def test_short_common_and_installation_words_are_rejected(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "only small letters",
        "ONLY LARGE LETTERS",
        "739150284617",
        "пароль без латиницы",
        "a line of verse\n",
        "a sentence that somebody likes to type " * 5,
    ],
)
def test_any_composition_of_twelve_or_more_characters_is_accepted(password: str) -> None:
    validate_password(password)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "P@ssw0rd12345",
        "qwertyuiop123",
        "1qaz2wsx3edc",
        "liverpoolfc1",
        "iloveyouforever",
        "abcabcabcabc",
        "a" * 73,
        "x y" * 40,
    ],
)
def test_guessable_passwords_that_django_accepts_are_rejected(password: str) -> None:
    with pytest.raises(ValidationError, match="easy to guess"):
        validate_password(password)


@pytest.mark.parametrize("password", ["", "\n", "b78306\n", "53٣9٢\na"])
def test_passwords_on_which_zxcvbn_fails_are_rejected_as_too_short(password: str) -> None:
    with pytest.raises(ValidationError, match="too short"):
        validate_password(password)


def test_zxcvbn_evaluates_a_limited_number_of_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each symbol can replace several letters, and trying all combinations takes seconds.
    hostile = "4@8({[<3691!|07+%2$5abcdefghqrstuvwx" * 2
    evaluated: list[str] = []
    evaluate = zxcvbn.zxcvbn

    def spy(password: str) -> dict[str, Any]:
        evaluated.append(password)
        return dict(evaluate(password))

    monkeypatch.setattr(zxcvbn, "zxcvbn", spy)
    GuessableValidator().validate(hostile)
    assert evaluated == [hostile[:40]]


# --- Breached passwords -------------------------------------------------------------------------------


class Service:
    """A server that answers range queries for one breached password and records the requested paths."""

    def __init__(self, breached: str) -> None:
        digest = hashlib.sha1(breached.encode(), usedforsecurity=False).hexdigest().upper()
        requested_paths: list[str] = []
        self.requested_paths, self.status = requested_paths, 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requested_paths.append(self.path)
                lines = ["0" * 35 + ":0", f"{digest[5:]}:42"] if self.path.endswith(digest[:5]) else []
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write("\r\n".join(lines).encode())

            def log_message(self, *_args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/range/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}).start()


BREACHED = "a horse that many know"


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    server = Service(BREACHED)
    settings.BREACHED_PASSWORDS_URL = server.url
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_a_breached_password_is_rejected_without_sending_it(service: Service) -> None:
    with pytest.raises(ValidationError, match="exposed in a data breach"):
        BreachedPasswordValidator().validate(BREACHED)
    BreachedPasswordValidator().validate("a horse that nobody knows")

    digest = hashlib.sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
    assert service.requested_paths[0] == f"/range/{digest[:5]}"


def test_without_the_breach_service_passwords_are_accepted_and_logged(
    service: Service, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 503
    with caplog.at_level(logging.ERROR):
        BreachedPasswordValidator().validate(BREACHED)
    settings.BREACHED_PASSWORDS_URL = "http://127.0.0.1:9/range/"
    BreachedPasswordValidator().validate(BREACHED)

    assert "HTTP error status code 503" in caplog.text
    assert "Error making request to Pwned Passwords: ConnectError" in caplog.text
    assert BREACHED not in caplog.text


def test_the_log_contains_neither_hash_prefix_nor_credentials(
    service: Service, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.BREACHED_PASSWORDS_URL = service.url.replace("http://", "http://mirror:s3cret@")
    with caplog.at_level(logging.INFO):
        BreachedPasswordValidator().validate("a horse that nobody knows")
        service.status = 503
        BreachedPasswordValidator().validate("a horse that nobody knows")

    assert "503" in caplog.text
    assert "/range/" not in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", []),
        ("https://api.pwnedpasswords.com/range/", []),
        ("http://127.0.0.1:9400/range/", []),
        ("http://[::1]:9400/range/", []),
        ("http://mirror.example/range/", ["deployctl.E005"]),
        ("api.pwnedpasswords.com/range/", ["deployctl.E005"]),
        ("https:///range/", ["deployctl.E005"]),
        ("https://[mirror/range/", ["deployctl.E005"]),
        ("https://mirror:x/range/", ["deployctl.E005"]),
        ("ftp://127.0.0.1/range/", ["deployctl.E005"]),
    ],
)
def test_an_unusable_service_url_is_reported_by_the_system_check(
    settings: Any, url: str, found: list[str]
) -> None:
    settings.BREACHED_PASSWORDS_URL = url
    assert [message.id for message in breached_passwords_url_is_usable()] == found


def test_the_breach_check_is_off_by_default() -> None:
    assert "BreachedPasswordValidator" not in {
        type(one).__name__ for one in get_default_password_validators()
    }
