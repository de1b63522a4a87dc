"""Password validators, in addition to Django's."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from pwned_passwords_django.api import PwnedPasswords
from pwned_passwords_django.validators import PwnedPasswordsValidator

# zxcvbn's limit for “somewhat guessable”. The sign-in page throttles online guessing, and Argon2id slows down
# guessing with a copy of the database.
MIN_GUESSES = 1_000_000
# How many characters zxcvbn evaluates. A longer password never needs fewer guesses, and the cost of the
# estimate grows faster than the length: 72 characters with digits and symbols for letters take seconds.
MAX_EVALUATED_LENGTH = 40
# How many characters must remain after the words of the installation are removed.
MIN_REMAINING_LENGTH = 8
# Shorter parts of host names are ignored, because they occur in too many words.
MIN_WORD_LENGTH = 4


class InstallationWordsValidator:
    """A validator that rejects passwords made of the installation's own words (see docs/people.md).

    These are `deployctl`, the name that authenticator apps show, and the parts of the host names.
    """

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's signature)
        """Raise an error if little remains of the password without the words.

        Args:
            password: the password as entered.
            user: unused; part of Django's interface.

        Raises:
            django.core.exceptions.ValidationError: too little remains.
        """
        if len(self._words.sub("", password)) < MIN_REMAINING_LENGTH <= len(password):
            raise ValidationError(
                "This password is little more than the name of this installation. Add other words.",
                code="password_of_installation_words",
            )

    def get_help_text(self) -> str:
        """Return the help text for forms."""
        return "Your password can’t be little more than the name of this installation."

    @cached_property
    def _words(self) -> re.Pattern[str]:
        texts = ["deployctl", settings.OTP_TOTP_ISSUER, *settings.ALLOWED_HOSTS]
        parts = {part for text in texts for part in re.split(r"\W+", text.lower())}
        longest_first = sorted(
            (part for part in parts if len(part) >= MIN_WORD_LENGTH), key=len, reverse=True
        )
        return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


class GuessableValidator:
    """A validator that rejects easily guessed passwords: common passwords, words, names, keyboard patterns.

    zxcvbn estimates the number of guesses from its own word lists (Wheeler, USENIX Security 2016).
    """

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's signature)
        """Raise an error if too few guesses would find the password.

        Args:
            password: the password as entered.
            user: unused; part of Django's interface.

        Raises:
            django.core.exceptions.ValidationError: the password is too easy to guess.
        """
        # Imported here, because its lists take 0.2 s to load and most processes never validate a password.
        from zxcvbn import zxcvbn

        # zxcvbn fails on dates before a line break and on an empty string, which is rejected as too short.
        evaluated = password[:MAX_EVALUATED_LENGTH].replace("\n", " ")
        if evaluated and zxcvbn(evaluated)["guesses"] < MIN_GUESSES:
            raise ValidationError(
                "This password is easy to guess. Use more words, or less common ones.",
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        """Return the help text for forms."""
        return "Your password can’t be common words, names or keyboard patterns followed by a few digits."


class BreachedPasswordValidator(PwnedPasswordsValidator):
    """A validator that rejects passwords listed by `BREACHED_PASSWORDS_URL`.

    The service receives five of the forty digits of a SHA-1. If it doesn't respond within a second, the
    password is accepted and the failure is logged: a person who replaces a stolen password must not depend on
    another service.
    """

    def __init__(self) -> None:
        client = PwnedPasswords()
        client.api_endpoint = f"{settings.BREACHED_PASSWORDS_URL.rstrip('/')}/"
        super().__init__(
            error_message="This password was exposed in a data breach. Choose another one.",
            help_message="Your password can’t be one that was exposed in a data breach.",
            api_client=client,
        )
