"""What people type: codes, their own facts, other people's."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from django import forms

from deployctl.accounts import names, timezones
from deployctl.accounts.models import User
from deployctl.accounts.models.api_token import LONGEST_DAYS, Scope
from deployctl.accounts.roles import Permission


class CodeForm(forms.Form):
    """A one-time code of the authenticator app."""

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
    """The answer of a passkey, as JSON; a script puts it here (static/js/passkey.js)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20_000, widget=forms.HiddenInput, **kwargs)


class FactorForm(CodeForm):
    """A one-time code or the answer of a passkey, whichever the person has and likes to give."""

    passkey = PasskeyField(required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_factors(self, user)

    def clean(self) -> dict[str, Any]:
        """One of the two must be there."""
        require_a_factor(self)
        return self.cleaned_data


def offer_factors(form: forms.Form, user: User) -> None:
    """Let a form with `code` and `passkey` ask only for what the person has.

    Args:
        form: gets the attributes `takes_passkey` and `only_passkey`, for the template.
        user: who will fill it in.
    """
    takes_passkey = user.passkeys.exists()
    only_passkey = takes_passkey and user.factor is None
    form.takes_passkey, form.only_passkey = takes_passkey, only_passkey  # type: ignore[attr-defined]
    if not takes_passkey:
        del form.fields["passkey"]
    elif only_passkey:
        del form.fields["code"]
    else:
        form.fields["code"].required = False


def require_a_factor(form: forms.Form) -> None:
    """Refuse a form of `offer_factors` in which neither was given."""
    given = form.cleaned_data.get("code") or form.cleaned_data.get("passkey")
    if not given and not form.errors:
        form.add_error(None, "Use your passkey, or type a one-time code if you have an authenticator app.")


class PasskeyForm(forms.Form):
    """A passkey to add."""

    name = forms.CharField(max_length=64, help_text="What you call the device, such as “Work laptop”.")
    passkey = PasskeyField()


class EnrollForm(CodeForm):
    """The first code of a new factor, and the password where signing in was a while ago."""

    password = forms.CharField(
        label="Password",
        help_text="Once more, because you signed in a while ago.",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ["password", "code"]

    def __init__(self, *args: Any, ask_password: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not ask_password:
            del self.fields["password"]


class RecoveryCodeForm(forms.Form):
    """A recovery code, however it is typed."""

    code = forms.CharField(
        label="Recovery code",
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "class": "mono"}
        ),
    )


class ProfileForm(forms.Form):
    """A person's facts, for the person and for administrators."""

    name = forms.CharField(max_length=names.LONGEST, help_text="As it is printed beside signatures.")
    phone = forms.CharField(
        max_length=40,
        required=False,
        help_text="For the emergency contacts of your deployments.",
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )
    timezone = forms.ChoiceField(label="Time zone", help_text="Times are shown in it.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, name.replace("_", " ")) for name in timezones.names()]
        stored = self.initial.get("timezone")
        if stored and stored not in timezones.names():
            choices.append((stored, stored))
        self.fields["timezone"] = forms.ChoiceField(
            label="Time zone", choices=choices, help_text="Times are shown in it."
        )

    @classmethod
    def of(cls, user: User, data: Any = None) -> ProfileForm:
        """The form with the facts of a person."""
        return cls(data, initial={"name": user.name, "phone": user.phone, "timezone": user.timezone})


class PermissionsForm(forms.Form):
    """What a person may do on the site besides viewing."""

    permissions = forms.MultipleChoiceField(
        required=False,
        choices=[(choice.value, choice.label) for choice in Permission if choice != Permission.VIEWER],
        widget=forms.CheckboxSelectMultiple,
        help_text=(
            "Everybody may look, and keep the items of their roles. An operator starts operations, an "
            "approver signs and reads the audit log, an administrator does all of it and administers people."
        ),
    )


class NewPersonForm(PermissionsForm):
    """A person to add."""

    email = forms.EmailField(label="E-mail address", help_text="They sign in with it.")
    name = forms.CharField(max_length=names.LONGEST, help_text="As it is printed beside signatures.")
    phone = forms.CharField(max_length=40, required=False, widget=forms.TextInput(attrs={"type": "tel"}))
    invite = forms.BooleanField(
        label="Send an invitation by e-mail",
        required=False,
        help_text="They choose their own password. Otherwise a random one is shown to you once.",
    )
    elsewhere = forms.BooleanField(
        label="They sign in by single sign-on",
        required=False,
        help_text="They get no password here.",
    )
    field_order = ["email", "name", "phone", "permissions", "invite", "elsewhere"]

    def __init__(self, *args: Any, can_invite: bool, has_provider: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not can_invite:
            del self.fields["invite"]
        if not has_provider:
            del self.fields["elsewhere"]


class PeopleFilterForm(forms.Form):
    """Which people to list."""

    STATES = (
        ("", "Everybody"),
        ("active", "Active"),
        ("disabled", "Disabled"),
        ("without_factor", "Without a second factor"),
        ("without_password", "Without a password here"),
    )
    words = forms.CharField(
        required=False,
        max_length=100,
        label="Name or address",
        widget=forms.TextInput(attrs={"type": "search", "data-find": True}),
    )
    permission = forms.ChoiceField(
        required=False,
        choices=[("", "Any"), *((p.value, p.label) for p in Permission if p != Permission.VIEWER)],
    )
    state = forms.ChoiceField(required=False, choices=STATES)


class ReasonForm(forms.Form):
    """Why something is done, for the record."""

    reason = forms.CharField(max_length=500, widget=forms.Textarea(attrs={"rows": 2}))


class NewTokenForm(forms.Form):
    """A token to make."""

    name = forms.CharField(max_length=100, help_text="What uses it, such as the pipeline of a repository.")
    scopes = forms.MultipleChoiceField(
        label="It may", choices=Scope.choices, widget=forms.CheckboxSelectMultiple
    )
    days = forms.IntegerField(label="Works for (days)", min_value=1, max_value=LONGEST_DAYS, initial=90)


class ResetPasswordForm(AllauthResetPasswordForm):
    """Of django-allauth, and nobody gets a password by e-mail who signs in at the provider of single sign-on.

    They could otherwise go on signing in here after the provider has shut them out.
    """

    def clean_email(self) -> str:
        """Find whom to write to; for others the answer looks the same, and the mail says so."""
        email: str = super().clean_email()
        self.users = [user for user in self.users if not cast("User", user).uses_single_sign_on]
        return email
