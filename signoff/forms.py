"""The form of a signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms

from deployctl.accounts.forms import PasskeyField, offer_factors, require_a_factor
from deployctl.accounts.models import User
from signoff.models import Gate, Slot

if TYPE_CHECKING:
    _ChoiceOfSlots = forms.ModelChoiceField[Slot]
else:  # generic for the type checker only
    _ChoiceOfSlots = forms.ModelChoiceField


class SlotChoice(_ChoiceOfSlots):
    """A choice of places, by the words of their signature lines."""

    def label_from_instance(self, obj: Slot) -> str:
        """The place's label."""
        return obj.label


class SignatureForm(forms.Form):
    """A place, the meaning confirmed, password, and one-time code or passkey; nothing is remembered."""

    slot = SlotChoice(queryset=Slot.objects.none(), label="Sign as", empty_label=None)
    digest = forms.CharField(widget=forms.HiddenInput, max_length=64)
    meaning = forms.BooleanField(
        error_messages={"required": "Confirm what your signature means; without it nothing is signed."}
    )
    password = forms.CharField(
        label="Your password",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    code = forms.CharField(
        label="One-time code",
        max_length=10,
        help_text="From your authenticator app. Each code works once; recovery codes cannot sign.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )
    passkey = PasskeyField(required=False)

    def __init__(self, *args: Any, gate: Gate, slots: list[Slot], signer: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_factors(self, signer)
        if signer.signs_in_elsewhere:
            del self.fields["password"]
        choice = cast("SlotChoice", self.fields["slot"])
        choice.queryset = gate.slots.filter(pk__in=[slot.pk for slot in slots])
        self.fields["meaning"].label = gate.meaning

    def clean(self) -> dict[str, Any]:
        """One of code and passkey must be there."""
        require_a_factor(self)
        return self.cleaned_data
