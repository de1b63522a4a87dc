"""The forms for signatures and delegations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils import timezone

from checklists.validators import TEXT_LENGTH
from deployctl.accounts.forms import PasskeyField, offer_second_factors, require_second_factor
from deployctl.accounts.models import User
from signoff import permissions
from signoff.models import Gate, Slot

if TYPE_CHECKING:
    _SlotField = forms.ModelChoiceField[Slot]
    _UserField = forms.ModelChoiceField[User]
else:  # generic for the type checker only
    _SlotField = _UserField = forms.ModelChoiceField

MINUTE = "%Y-%m-%dT%H:%M"


class SlotChoice(_SlotField):
    """A choice of slots, shown by label."""

    def label_from_instance(self, obj: Slot) -> str:
        """Return the slot's label."""
        return obj.label


class PersonChoice(_UserField):
    """A choice of people, shown with their e-mail addresses, because two people may share a name."""

    def label_from_instance(self, obj: User) -> str:
        """Return name and e-mail address."""
        return f"{obj.name} · {obj.email}"


class SignatureForm(forms.Form):
    """The form for a signature: slot, confirmed meaning, password, and one-time code or passkey."""

    slot = SlotChoice(queryset=Slot.objects.none(), label="Sign as", empty_label=None)
    digest = forms.CharField(widget=forms.HiddenInput, max_length=64)
    meaning = forms.BooleanField(error_messages={"required": "Confirm the meaning of your signature."})
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
        offer_second_factors(self, signer)
        if signer.uses_single_sign_on:
            del self.fields["password"]
        choice = cast("SlotChoice", self.fields["slot"])
        choice.queryset = gate.slots.filter(pk__in=[slot.pk for slot in slots])
        self.fields["meaning"].label = gate.meaning

    def clean(self) -> dict[str, Any]:
        """Require a one-time code or a passkey."""
        require_second_factor(self)
        return self.cleaned_data


class DelegationForm(forms.Form):
    """The form for a delegation. It offers only people whom the rules allow."""

    slot = SlotChoice(queryset=Slot.objects.none(), label="Your slot", empty_label=None)
    to = PersonChoice(queryset=User.objects.none(), label="Delegate")
    until = forms.DateTimeField(
        label="Until", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTE)
    )
    note = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        label="Reason",
        help_text="Optional. Everybody can read it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, data: Any = None, *, slots: list[Slot], by: User) -> None:
        # The signature form on the same page uses the default IDs.
        super().__init__(data, auto_id="id_delegation_%s")
        choice = cast("SlotChoice", self.fields["slot"])
        choice.queryset = Slot.objects.filter(pk__in=[slot.pk for slot in slots])
        people = cast("PersonChoice", self.fields["to"])
        # `Delegation.create` rejects other people and states the reason.
        people.queryset = User.objects.active()
        eligible = permissions.eligible_delegates(slots[0], by)
        choices = [(person.pk, people.label_from_instance(person)) for person in eligible]
        people.choices = [("", "Choose a person"), *choices]
        self.has_people = bool(eligible)
        zone = timezone.get_current_timezone_name()
        self.fields["until"].help_text = f"In your time zone ({zone}); at most 30 days ahead."

    @classmethod
    def of(cls, gate: Gate, by: User) -> DelegationForm | None:
        """Return the empty form for a gate, or None if `by` has no slot there to delegate."""
        slots = _slots(gate, by)
        return cls(slots=slots, by=by) if slots else None

    @classmethod
    def posted(cls, data: Any, slot: Slot, by: User) -> DelegationForm:
        """Return the bound form for a slot, which is offered even if it cannot be delegated."""
        others = [each for each in _slots(slot.gate, by) if each.pk != slot.pk]
        return cls(data, slots=[slot, *others], by=by)


def _slots(gate: Gate, by: User) -> list[Slot]:
    return [slot for slot in gate.slots.all() if not permissions.delegation_denied_reason(slot, by)]
