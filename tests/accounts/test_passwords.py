"""What a password may be."""

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
def test_a_password_of_the_installations_own_words_is_refused(
    own_words: InstallationWordsValidator, password: str
) -> None:
    with pytest.raises(ValidationError, match="little more than the name of this installation"):
        own_words.validate(password)


def test_words_of_ones_own_beside_them_are_enough(own_words: InstallationWordsValidator) -> None:
    own_words.validate("acme horse battery")


@pytest.mark.parametrize("password", ["deployctl-2031", "elevenchars", "qwerty123456789"])
def test_short_common_and_own_words_are_refused(password: str) -> None:
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
def test_any_composition_and_length_from_twelve_characters_is_taken(password: str) -> None:
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
def test_what_is_guessed_early_is_refused_though_no_list_of_djangos_has_it(password: str) -> None:
    with pytest.raises(ValidationError, match="among the first that are guessed"):
        validate_password(password)


@pytest.mark.parametrize("password", ["", "\n", "b78306\n", "53٣9٢\na"])
def test_what_zxcvbn_stumbles_over_is_refused_as_any_other(password: str) -> None:
    with pytest.raises(ValidationError, match="too short"):
        validate_password(password)


def test_what_is_reckoned_does_not_grow_with_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    # Signs that stand for letters, each for several: their combinations are tried one by one, for seconds.
    hostile = "4@8({[<3691!|07+%2$5abcdefghqrstuvwx" * 2
    reckoned: list[str] = []
    reckon = zxcvbn.zxcvbn

    def seen(password: str) -> dict[str, Any]:
        reckoned.append(password)
        return dict(reckon(password))

    monkeypatch.setattr(zxcvbn, "zxcvbn", seen)
    GuessableValidator().validate(hostile)
    assert reckoned == [hostile[:40]]


# --- Found in breaches --------------------------------------------------------------------------------


class Service:
    """A server that answers range queries for one breached password, and keeps what it was asked."""

    def __init__(self, breached: str) -> None:
        digest = hashlib.sha1(breached.encode(), usedforsecurity=False).hexdigest().upper()
        asked: list[str] = []
        self.asked, self.status = asked, 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
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
    one = Service(BREACHED)
    settings.BREACHED_PASSWORDS_URL = one.url
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_breached_password_is_refused_and_the_service_does_not_learn_which_it_is(service: Service) -> None:
    with pytest.raises(ValidationError, match="found in a breach"):
        BreachedPasswordValidator().validate(BREACHED)
    BreachedPasswordValidator().validate("a horse that nobody knows")

    digest = hashlib.sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
    assert service.asked[0] == f"/range/{digest[:5]}"


def test_while_the_service_is_of_no_use_passwords_are_taken_and_the_log_says_so(
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


def test_the_log_has_neither_the_question_nor_a_credential_of_the_address(
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
def test_an_address_that_cannot_be_asked_is_found_at_the_start(
    settings: Any, url: str, found: list[str]
) -> None:
    settings.BREACHED_PASSWORDS_URL = url
    assert [message.id for message in breached_passwords_url_is_usable()] == found


def test_nobody_is_asked_unless_it_is_configured() -> None:
    assert "BreachedPasswordValidator" not in {
        type(one).__name__ for one in get_default_password_validators()
    }
