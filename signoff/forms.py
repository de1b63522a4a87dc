"""The forms of signing, of letting somebody else sign, and of comparing what was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.utils import timezone

from checklists.texts import TEXT_LENGTH
from deployctl.accounts.forms import PasskeyField, offer_second_factors, require_second_factor
from deployctl.accounts.models import User
from signoff import rights
from signoff.models import Gate, Slot

if TYPE_CHECKING:
    _ChoiceOfSlots = forms.ModelChoiceField[Slot]
    _ChoiceOfPeople = forms.ModelChoiceField[User]
else:  # generic for the type checker only
    _ChoiceOfSlots = _ChoiceOfPeople = forms.ModelChoiceField

MINUTE = "%Y-%m-%dT%H:%M"


class SlotChoice(_ChoiceOfSlots):
    """A choice of places, by the words of their signature lines."""

    def label_from_instance(self, obj: Slot) -> str:
        """The place's label."""
        return obj.label


class PersonChoice(_ChoiceOfPeople):
    """A choice of people; two may have one name."""

    def label_from_instance(self, obj: User) -> str:
        """Name and address."""
        return f"{obj.name} · {obj.email}"


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
        offer_second_factors(self, signer)
        if signer.uses_single_sign_on:
            del self.fields["password"]
        choice = cast("SlotChoice", self.fields["slot"])
        choice.queryset = gate.slots.filter(pk__in=[slot.pk for slot in slots])
        self.fields["meaning"].label = gate.meaning

    def clean(self) -> dict[str, Any]:
        """One of code and passkey must be there."""
        require_second_factor(self)
        return self.cleaned_data


class DelegationForm(forms.Form):
    """Whom to let sign, in which place, until when; offers only whom the rules allow."""

    slot = SlotChoice(queryset=Slot.objects.none(), label="Your place", empty_label=None)
    to = PersonChoice(queryset=User.objects.none(), label="Who signs for you")
    until = forms.DateTimeField(
        label="Until", widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MINUTE)
    )
    note = forms.CharField(
        required=False,
        max_length=TEXT_LENGTH,
        label="Why",
        help_text="For everybody to read; may stay empty.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, data: Any = None, *, slots: list[Slot], by: User) -> None:
        # The form of signing, on the same page, has the usual ids.
        super().__init__(data, auto_id="id_delegation_%s")
        places = cast("SlotChoice", self.fields["slot"])
        places.queryset = Slot.objects.filter(pk__in=[slot.pk for slot in slots])
        people = cast("PersonChoice", self.fields["to"])
        # Whoever is named all the same is refused by the verb, which says why.
        people.queryset = User.objects.active()
        able = rights.able_to_stand_in(slots[0], by)
        people.choices = [("", "Choose one"), *((each.pk, people.label_from_instance(each)) for each in able)]
        self.has_people = bool(able)
        zone = timezone.get_current_timezone_name()
        self.fields["until"].help_text = f"In your time zone, {zone}; at most 30 days."

    @classmethod
    def of(cls, gate: Gate, by: User) -> DelegationForm | None:
        """The empty form for a gate; None for whoever has no place there to give."""
        places = _places(gate, by)
        return cls(slots=places, by=by) if places else None

    @classmethod
    def posted(cls, data: Any, slot: Slot, by: User) -> DelegationForm:
        """What was posted for a place, which is offered beside the others even where it cannot be given."""
        others = [each for each in _places(slot.gate, by) if each.pk != slot.pk]
        return cls(data, slots=[slot, *others], by=by)


def _places(gate: Gate, by: User) -> list[Slot]:
    return [slot for slot in gate.slots.all() if not rights.why_not_delegate(slot, by)]
