"""What a password may be."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from deployctl.accounts.passwords import OwnWords


@pytest.fixture
def own_words(settings: Any) -> OwnWords:
    settings.OTP_TOTP_ISSUER = "Acme databases"
    settings.ALLOWED_HOSTS = ["deploy.acme.example", "127.0.0.1"]
    return OwnWords()


@pytest.mark.parametrize(
    "password", ["deployctl2031", "Acme-Databases-1", "deploy.acme.example", "DEPLOYCTL-acme-1"]
)
def test_a_password_of_the_installations_own_words_is_refused(own_words: OwnWords, password: str) -> None:
    with pytest.raises(ValidationError, match="little more than the name of this installation"):
        own_words.validate(password)


def test_words_of_ones_own_beside_them_are_enough(own_words: OwnWords) -> None:
    own_words.validate("acme horse battery")


@pytest.mark.parametrize("password", ["deployctl-2031", "elevenchars", "qwerty123456789"])
def test_short_common_and_own_words_are_refused(password: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(password)


@pytest.mark.parametrize(
    "password",
    ["only small letters", "ONLY LARGE LETTERS", "739150284617", "пароль без латиницы", "x y" * 40],
)
def test_any_composition_and_length_from_twelve_characters_is_taken(password: str) -> None:
    validate_password(password)
