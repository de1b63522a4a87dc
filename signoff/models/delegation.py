"""Permission to sign in another person's slot until a given time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from checklists.validators import clean_note, clean_reason
from deployctl import audit
from deployctl.accounts.models import User
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from signoff import permissions
from signoff.models.signature import Revocation
from signoff.models.slot import Slot

MAX_DURATION = timedelta(days=30)


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """The queries of delegations."""

    def for_pages(self) -> DelegationQuerySet:
        """Join the two people and the revocation."""
        return self.select_related("revocation", "delegator", "delegate")

    def in_force(self) -> DelegationQuerySet:
        """Return the delegations that have neither expired nor been revoked."""
        return self.filter(until__gt=timezone.now(), revocation=None)


class Delegation(models.Model):
    """A delegation of one slot to one person. It expires or is revoked; the row never changes."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="delegations")
    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_given"
    )
    delegator_name = models.CharField(max_length=200)
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="delegations_held"
    )
    delegate_name = models.CharField(max_length=200)
    until = models.DateTimeField()
    note = models.TextField(blank=True)
    given_at = models.DateTimeField(auto_now_add=True)
    audit_sequence = models.BigIntegerField(unique=True)

    objects: ClassVar[models.Manager[Delegation]] = models.Manager.from_queryset(DelegationQuerySet)()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.delegate_name} for {self.delegator_name}, {self.slot}"

    @property
    def is_revoked(self) -> bool:
        """Return True if the delegator or the delegate ended it."""
        return hasattr(self, "revocation")

    @property
    def is_expired(self) -> bool:
        """Return True if its time has passed."""
        return self.until <= timezone.now()

    @property
    def is_in_force(self) -> bool:
        """Return True if it has neither expired nor been revoked."""
        return not self.is_expired and not self.is_revoked

    @classmethod
    def create(cls, slot: Slot, to: User, *, by: User, until: datetime, note: str = "") -> Delegation:
        """Let another person sign in a slot of `by`. The signature will contain both names.

        The view requires a fresh code of `by` first (`policies.step_up`).

        Args:
            to: an active person with the approver permission who has no slot of their own in the gate.
            by: a team member with the slot's role.
            until: with time zone; in the future, at most 30 days ahead.
            note: the reason, shown to everybody; may be empty.

        Raises:
            InvalidInput: `until` is in the past or too far ahead.
            NotAllowed: `by` cannot delegate this slot.
            Refusal: `to` cannot be the delegate.
        """
        note = clean_note(note)
        _check_end(until)
        with slot.gate.deployment.locked() as deployment:
            slot = Slot.objects.select_related("gate").get(pk=slot.pk)
            slot.gate.deployment = deployment
            if sentence := permissions.delegation_denied_reason(slot, by):
                raise NotAllowed(sentence)
            if sentence := permissions.delegate_denied_reason(slot, by, to):
                raise Refusal(sentence)
            entry = audit.append(
                Action.DELEGATION_CREATED,
                by=by,
                subject=slot,
                deployment_id=deployment.pk,
                data={"to": to.name, "email": to.email, "until": until.isoformat(), "note": note},
            )
            delegation = cls.objects.create(
                slot=slot,
                delegator=by,
                delegator_name=by.name,
                delegate=to,
                delegate_name=to.name,
                until=until,
                note=note,
                audit_sequence=entry.sequence,
            )
            slot.gate.announce()
        return delegation

    def revoke(self, *, by: User, reason: str) -> None:
        """End the delegation early. Signatures that the delegate has given stay valid.

        Args:
            by: the delegator or the delegate.
            reason: shown to everybody.

        Raises:
            NotAllowed: `by` is neither of them.
            InvalidInput: the reason is empty.
            Refusal: it has expired or been revoked already.
        """
        reason = clean_reason(reason)
        if by.pk not in {self.delegator_id, self.delegate_id}:
            raise NotAllowed(
                f"Only {self.delegator_name} and {self.delegate_name} can revoke this delegation. "
                "Nothing was changed."
            )
        with self.slot.gate.deployment.locked() as deployment:
            current = type(self).objects.select_related("revocation").get(pk=self.pk)
            if not current.is_in_force:
                state = "was revoked" if current.is_revoked else "has expired"
                raise Refusal(f"This delegation {state} already. Nothing was changed.")
            DelegationRevocation.objects.create(delegation=current, by=by, by_name=by.name, reason=reason)
            audit.append(
                Action.DELEGATION_REVOKED,
                by=by,
                subject=current,
                deployment_id=deployment.pk,
                data={"reason": reason},
            )
            self.slot.gate.announce()


class DelegationRevocation(Revocation):
    """The revocation of a delegation by its delegator or delegate."""

    delegation = models.OneToOneField(Delegation, on_delete=models.PROTECT, related_name="revocation")

    def __str__(self) -> str:
        return f"{self.delegation}: {self.reason}"


def _check_end(until: datetime) -> None:
    now = timezone.now()
    if until <= now:
        raise InvalidInput("The delegation must end in the future. Nothing was changed; enter a later end.")
    if until > now + MAX_DURATION:
        raise InvalidInput(
            f"A delegation lasts at most {MAX_DURATION.days} days. Nothing was changed; enter an earlier end."
        )
