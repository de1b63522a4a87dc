"""The forms of accounts: codes, profiles, permissions, people, API tokens."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from django import forms

from deployctl.accounts import names, timezones
from deployctl.accounts.models import User
from deployctl.accounts.models.api_token import MAX_DAYS, Scope
from deployctl.accounts.roles import Permission


class CodeForm(forms.Form):
    """A one-time code from the authenticator app."""

    code = forms.CharField(
        label="One-time code",
        max_length=12,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "pattern": "[0-9 ]*",
                "autofocus": True,
                "class": "mono",
            }
        ),
    )


class PasskeyField(forms.CharField):
    """The response of a passkey as JSON, filled in by static/js/passkey.js."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20_000, widget=forms.HiddenInput, **kwargs)


class FactorForm(CodeForm):
    """A one-time code or a passkey, whichever the person has."""

    passkey = PasskeyField(required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_second_factors(self, user)

    def clean(self) -> dict[str, Any]:
        """Require one of the two."""
        require_second_factor(self)
        return self.cleaned_data


def offer_second_factors(form: forms.Form, user: User) -> None:
    """Remove the fields for second factors that the person doesn't have.

    Args:
        form: a form with the fields `code` and `passkey`. It gets the attributes `accepts_passkey` and
            `only_passkey`, for the template.
        user: the person who fills it in.
    """
    accepts_passkey = user.passkeys.exists()
    only_passkey = accepts_passkey and user.totp_factor is None
    form.accepts_passkey, form.only_passkey = accepts_passkey, only_passkey  # type: ignore[attr-defined]
    if not accepts_passkey:
        del form.fields["passkey"]
    elif only_passkey:
        del form.fields["code"]
    else:
        form.fields["code"].required = False


def require_second_factor(form: forms.Form) -> None:
    """Add an error to a form of `offer_second_factors` without a code or passkey."""
    given = form.cleaned_data.get("code") or form.cleaned_data.get("passkey")
    if not given and not form.errors:
        form.add_error(None, "Use your passkey, or enter a one-time code from your authenticator app.")


class PasskeyForm(forms.Form):
    """A passkey to add."""

    name = forms.CharField(max_length=64, help_text="A name for the device, such as “Work laptop”.")
    passkey = PasskeyField()


class EnrollForm(CodeForm):
    """The first code of a new authenticator app, and the password if the sign-in is not recent."""

    password = forms.CharField(
        label="Password",
        help_text="Enter it again, because you signed in a while ago.",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ["password", "code"]

    def __init__(self, *args: Any, ask_password: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not ask_password:
            del self.fields["password"]


class RecoveryCodeForm(forms.Form):
    """A recovery code; spaces, hyphens and case don't matter."""

    code = forms.CharField(
        label="Recovery code",
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "class": "mono"}
        ),
    )


class ProfileForm(forms.Form):
    """A person's profile, for the person and for administrators."""

    name = forms.CharField(max_length=names.MAX_LENGTH, help_text="Shown next to signatures.")
    phone = forms.CharField(
        max_length=40,
        required=False,
        help_text="Listed in the emergency contacts of deployments.",
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    timezone = forms.ChoiceField(label="Time zone", help_text="Times are shown in this time zone.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, name.replace("_", " ")) for name in timezones.names()]
        stored = self.initial.get("timezone")
        if stored and stored not in timezones.names():
            choices.append((stored, stored))
        self.fields["timezone"] = forms.ChoiceField(
            label="Time zone", choices=choices, help_text="Times are shown in this time zone."
        )

    @classmethod
    def for_user(cls, user: User, data: Any = None) -> ProfileForm:
        """Return the form with a person's current values."""
        return cls(data, initial={"name": user.name, "phone": user.phone, "timezone": user.timezone})


class PermissionsForm(forms.Form):
    """A person's permissions; every active person can view."""

    permissions = forms.MultipleChoiceField(
        required=False,
        choices=[(choice.value, choice.label) for choice in Permission if choice != Permission.VIEWER],
        widget=forms.CheckboxSelectMultiple,
        help_text=(
            "Everyone can view pages and complete items of their roles. Operators start operations, "
            "approvers sign and read the audit log, and administrators can do all of this and manage people."
        ),
    )


class NewPersonForm(PermissionsForm):
    """A person to add."""

    email = forms.EmailField(label="E-mail address", help_text="The person signs in with it.")
    name = forms.CharField(max_length=names.MAX_LENGTH, help_text="Shown next to signatures.")
    phone = forms.CharField(max_length=40, required=False, widget=forms.TextInput(attrs={"type": "tel"}))
    invite = forms.BooleanField(
        label="Send an invitation by e-mail",
        required=False,
        help_text="The person chooses a password. Otherwise you see a temporary password once.",
    )
    uses_single_sign_on = forms.BooleanField(
        label="Use single sign-on",
        required=False,
        help_text="The person doesn't get a password here.",
    )
    field_order = ["email", "name", "phone", "permissions", "invite", "uses_single_sign_on"]

    def __init__(self, *args: Any, can_invite: bool, has_provider: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_invite:
            del self.fields["invite"]
        if not has_provider:
            del self.fields["uses_single_sign_on"]


class PeopleFilterForm(forms.Form):
    """The filter of the list of people."""

    STATES = (
        ("", "All"),
        ("active", "Active"),
        ("disabled", "Disabled"),
        ("without_factor", "Without a second factor"),
        ("without_password", "Without a password"),
    )
    words = forms.CharField(
        required=False,
        max_length=100,
        label="Name or e-mail address",
        widget=forms.TextInput(attrs={"type": "search", "data-find": True}),
    )
    permission = forms.ChoiceField(
        required=False,
        choices=[("", "Any"), *((p.value, p.label) for p in Permission if p != Permission.VIEWER)],
    )
    state = forms.ChoiceField(required=False, choices=STATES)


class ReasonForm(forms.Form):
    """The reason for a change, for the audit log."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class NewTokenForm(forms.Form):
    """An API token to create."""

    name = forms.CharField(
        max_length=100, help_text="The program that uses the token, such as a CI pipeline."
    )
    scopes = forms.MultipleChoiceField(
        label="Scopes", choices=Scope.choices, widget=forms.CheckboxSelectMultiple
    )
    days = forms.IntegerField(label="Valid for (days)", min_value=1, max_value=MAX_DAYS, initial=90)


class ResetPasswordForm(AllauthResetPasswordForm):
    """The form of django-allauth, which doesn't send links to people who use single sign-on.

    With a password, they could still sign in here after the provider has disabled them.
    """

    def clean_email(self) -> str:
        """Find the recipients; the page looks the same for unknown addresses, and the e-mail explains."""
        email: str = super().clean_email()
        self.users = [user for user in self.users if not cast("User", user).uses_single_sign_on]
        return email
