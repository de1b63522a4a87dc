"""Somebody signs in another's slot, for a time."""

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
    """Delegations by whether they count."""

    def for_pages(self) -> DelegationQuerySet:
        """With the people and whether it was withdrawn."""
        return self.select_related("withdrawal", "delegator", "delegate")

    def in_force(self) -> DelegationQuerySet:
        """Neither over nor withdrawn."""
        return self.filter(until__gt=timezone.now(), withdrawal=None)


class Delegation(models.Model):
    """Who gave whom their slot in a gate, until when. Never changed; it ends by time or is withdrawn."""

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
    def is_withdrawn(self) -> bool:
        """Whether it was taken back."""
        return hasattr(self, "withdrawal")

    @property
    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self.until <= timezone.now()

    @property
    def is_in_force(self) -> bool:
        """Whether it counts now."""
        return not self.is_over and not self.is_withdrawn

    @classmethod
    def give(cls, slot: Slot, to: User, *, by: User, until: datetime, note: str = "") -> Delegation:
        """Let somebody sign in one's slot.

        Both names stand in the signature then. The caller has seen a fresh one-time code of `by`
        (`policies.step_up`).

        Args:
            to: an active person with the approver permission who has no slot of their own in the gate.
            by: a person of the team with the slot's role.
            until: with time zone; in the future, at most 30 days ahead.
            note: why, for everybody to read; may be empty.

        Raises:
            InvalidInput: an end that cannot be used.
            NotAllowed: the slot is not `by`'s to give.
            Refusal: `to` may not take it, or the slot is given or signed already.
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
            given = cls.objects.create(
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
        return given

    def withdraw(self, *, by: User, reason: str) -> None:
        """End it before its time. A signature that was given by it stays.

        Args:
            by: who gave it, or who holds it.
            reason: why, for everybody to read.

        Raises:
            NotAllowed: by somebody else.
            InvalidInput: no reason.
            Refusal: it is over or withdrawn already.
        """
        reason = clean_reason(reason)
        if by.pk not in {self.delegator_id, self.delegate_id}:
            raise NotAllowed(
                f"Only {self.delegator_name}, who gave this slot, and {self.delegate_name}, who holds it, "
                "may withdraw the delegation. Nothing was changed."
            )
        with self.slot.gate.deployment.locked() as deployment:
            current = type(self).objects.select_related("withdrawal").get(pk=self.pk)
            if not current.is_in_force:
                how = "was withdrawn" if current.is_withdrawn else "ended by itself"
                raise Refusal(f"This delegation {how} already. Nothing was changed.")
            DelegationWithdrawal.objects.create(delegation=current, by=by, by_name=by.name, reason=reason)
            audit.append(
                Action.DELEGATION_REVOKED,
                by=by,
                subject=current,
                deployment_id=deployment.pk,
                data={"reason": reason},
            )
            self.slot.gate.announce()


class DelegationWithdrawal(Revocation):
    """That a delegation was ended before its time."""

    delegation = models.OneToOneField(Delegation, on_delete=models.PROTECT, related_name="withdrawal")

    def __str__(self) -> str:
        return f"{self.delegation}: {self.reason}"


def _check_end(until: datetime) -> None:
    now = timezone.now()
    if until <= now:
        raise InvalidInput("The delegation would be over already. Nothing was changed; give an end to come.")
    if until > now + MAX_DURATION:
        raise InvalidInput(
            f"A delegation lasts at most {MAX_DURATION.days} days. Nothing was changed; give an earlier end."
        )
