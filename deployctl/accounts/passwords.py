"""What a password must not be made of, besides what Django refuses by itself."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from pwned_passwords_django.api import PwnedPasswords
from pwned_passwords_django.validators import PwnedPasswordsValidator

# zxcvbn's own line below “somewhat guessable”. The page slows guessing down; against who has a copy of the
# database, Argon2id multiplies it.
GUESSES_TO_WITHSTAND = 1_000_000
# What zxcvbn looks at. All of a password takes no fewer guesses than its beginning, and what it costs to
# reckon them grows faster than the length: with digits and signs for letters, 72 characters take seconds.
RECKONED = 40
# What must be left of a password once the words that everybody tries first here are taken away.
LEAST_LEFT = 8
# Parts of a host name that stand in too many words to be taken away.
SHORTEST_WORD = 4


class OwnWords:
    """Refuses a password that is little more than words of this installation (docs/people.md lists them).

    Those are `deployctl`, the name that authenticator apps show, and the parts of the host names.
    """

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's signature)
        """Take the words away, in whatever case, and look at what is left.

        Args:
            password: as it was typed.
            user: whose it would be; Django's own validators compare with what is known of them.

        Raises:
            django.core.exceptions.ValidationError: with a sentence for the person.
        """
        if len(self._words.sub("", password)) < LEAST_LEFT <= len(password):
            raise ValidationError(
                "This password is little more than the name of this installation. Add words of your own.",
                code="password_of_own_words",
            )

    def get_help_text(self) -> str:
        """What the form says beside the field."""
        return "Your password can’t be little more than the name of this installation."

    @cached_property
    def _words(self) -> re.Pattern[str]:
        said = ["deployctl", settings.OTP_TOTP_ISSUER, *settings.ALLOWED_HOSTS]
        parts = {part for text in said for part in re.split(r"\W+", text.lower())}
        longest_first = sorted((part for part in parts if len(part) >= SHORTEST_WORD), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)


class Guessable:
    """Refuses what a guesser tries early: common passwords, words, names, keys in a row, and digits behind.

    zxcvbn reckons the guesses, from lists that it brings (Wheeler, USENIX Security 2016).
    """

    def validate(self, password: str, user: object = None) -> None:  # noqa: ARG002 (Django's signature)
        """Reckon how soon it would be guessed.

        Args:
            password: as it was typed.
            user: whose it would be; Django's own validators compare with what is known of them.

        Raises:
            django.core.exceptions.ValidationError: with a sentence for the person.
        """
        # Here, because its lists take 0.2 s to load, and most processes never look at a password.
        from zxcvbn import zxcvbn

        # It stumbles over dates before a line break, and over nothing at all, which is refused as too short.
        beginning = password[:RECKONED].replace("\n", " ")
        if beginning and zxcvbn(beginning)["guesses"] < GUESSES_TO_WITHSTAND:
            raise ValidationError(
                "This password is among the first that are guessed. Take more words, or less common ones.",
                code="password_guessable",
            )

    def get_help_text(self) -> str:
        """What the form says beside the field."""
        return "Your password can’t be common words, names or keys in a row with a few digits behind."


class Breached(PwnedPasswordsValidator):
    """Refuses what `BREACHED_PASSWORDS_URL` knows, which is told five of the forty digits of a SHA-1.

    Where it does not answer within a second, the password is taken, and the log says that nobody was asked:
    who changes a password because it was stolen must not have to wait for another service.
    """

    def __init__(self) -> None:
        client = PwnedPasswords()
        client.api_endpoint = f"{settings.BREACHED_PASSWORDS_URL.rstrip('/')}/"
        super().__init__(
            error_message="This password was found in a breach of another site, and is tried. Take another.",
            help_message="Your password can’t be one that was found in a breach of another site.",
            api_client=client,
        )
