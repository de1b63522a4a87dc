"""Asking for another password by e-mail."""

from __future__ import annotations

from typing import cast

from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm

from deployctl.accounts.models import User


class ResetPasswordForm(AllauthResetPasswordForm):
    """Of django-allauth, and nobody gets a password by e-mail who signs in at the provider of single sign-on.

    They could otherwise go on signing in here after the provider has shut them out.
    """

    def clean_email(self) -> str:
        """Find whom to write to; for others the answer looks the same, and the mail says so."""
        email: str = super().clean_email()
        self.users = [user for user in self.users if not cast("User", user).signs_in_elsewhere]
        return email
