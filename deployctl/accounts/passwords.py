"""What a password must not be made of, besides what Django refuses by itself."""

from __future__ import annotations

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property

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
