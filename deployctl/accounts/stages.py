"""The step between the password and being signed in."""

from __future__ import annotations

from typing import cast

from allauth.account.stages import LoginStage
from django.http import HttpResponse
from django.shortcuts import redirect

from deployctl.accounts.models import User


class CodeStage(LoginStage):
    """Ask for a code before anybody with a second factor is signed in."""

    key = "deployctl_code"
    urlname = "accounts:sign_in_code"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """Send to the page for the code, or go on where no factor is enrolled."""
        user = cast("User | None", self.login.user)
        if user is None or not user.has_factor:
            return None, True
        return redirect(self.urlname), True
