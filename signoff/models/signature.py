"""One person's signature over the exact content of a deployment; never edited, never deleted."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models

from checklists.texts import checked_reason
from deployctl import audit
from deployctl.accounts.models import User
from deployctl.audit.actions import Action
from deployctl.errors import NotAllowed, Refusal
from signoff.models.delegation import Delegation
from signoff.models.slot import Slot
from signoff.models.withdrawing import TakenBack

NEW_FOR = dt.timedelta(hours=24)


class SignatureQuerySet(models.QuerySet["Signature"]):
    """Signatures by whether they still stand."""

    def for_pages(self) -> SignatureQuerySet:
        """With what made them stale or withdrew them, and without the records, which are large."""
        return self.select_related("staleness", "withdrawal", "delegation").defer("record")

    def standing(self) -> SignatureQuerySet:
        """Those whose content has not changed since, and that were not withdrawn."""
        return self.filter(staleness=None, withdrawal=None)


class Signature(models.Model):
    """Who signed what, as whom, meaning what, when, how. Made by `Slot.sign`."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="signatures")
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=200)
    # Whose place it is, where the signer stands in for somebody; empty otherwise.
    delegation = models.ForeignKey(Delegation, on_delete=models.PROTECT, null=True, related_name="signatures")
    for_name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=20)
    meaning = models.CharField(max_length=300)
    signed_at = models.DateTimeField()
    timezone = models.CharField(max_length=60)
    method = models.CharField(max_length=60)
    # When the second factor that was given had been set up.
    factor_since = models.DateTimeField(null=True)
    record = models.JSONField()
    record_digest = models.CharField(max_length=64)
    audit_sequence = models.BigIntegerField(unique=True)

    objects: ClassVar[models.Manager[Signature]] = models.Manager.from_queryset(SignatureQuerySet)()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.names} for {self.slot}"

    @property
    def names(self) -> str:
        """The signer's name as printed, and whom they stood in for."""
        return f"{self.printed_name}, for {self.for_name}" if self.for_name else self.printed_name

    @property
    def people(self) -> frozenset[int]:
        """The numbers of the people whose say this is: the signer, and whom they stood in for."""
        stood_in_for = {self.delegation.delegator_id} if self.delegation else set()
        return frozenset({self.signer_id} | stood_in_for)

    @property
    def has_new_factor(self) -> bool:
        """Whether the second factor was set up so shortly before that co-signers should ask who did it.

        Whoever can replace somebody's second factor and password could sign in their place.
        """
        return self.factor_since is not None and self.signed_at - self.factor_since < NEW_FOR

    @property
    def is_stale(self) -> bool:
        """Whether what it covers changed after it was given."""
        return hasattr(self, "staleness")

    @property
    def is_withdrawn(self) -> bool:
        """Whether its signer took it back."""
        return hasattr(self, "withdrawal")

    @property
    def stands(self) -> bool:
        """Whether it counts."""
        return not self.is_stale and not self.is_withdrawn

    def withdraw(self, *, by: User, reason: str) -> None:
        """Take it back: the gate opens again, and the deployment returns to where it is signed.

        The signature stays as it was given; this adds a row.

        Args:
            by: its signer; nobody else may.
            reason: why, for everybody to read.

        Raises:
            NotAllowed: by somebody else.
            InvalidInput: no reason.
            Refusal: it does not stand any more, or the deployment has ended.
        """
        reason = checked_reason(reason)
        if by.pk != self.signer_id:
            raise NotAllowed(
                f"Only {self.printed_name} may withdraw this signature. Nothing was changed; whoever sees a "
                "danger may halt the deployment."
            )
        with self.slot.gate.deployment.changing() as deployment:
            current = (
                type(self).objects.select_related("slot__gate", "staleness", "withdrawal").get(pk=self.pk)
            )
            current.slot.gate.deployment = deployment
            current._refuse_withdrawal()
            Withdrawal.objects.create(signature=current, by=by, by_name=by.name, reason=reason)
            audit.append(
                Action.SIGNATURE_REVOKED,
                by=by,
                subject=current,
                deployment_id=deployment.pk,
                data={"gate": current.slot.gate.key, "role": current.role, "reason": reason},
            )
            current.slot.gate.reopen(by=by, change=f"{by.name} withdrew the signature: {reason}")

    def _refuse_withdrawal(self) -> None:
        deployment = self.slot.gate.deployment
        if self.is_withdrawn:
            raise Refusal(f"{self.printed_name} has withdrawn this signature already. Nothing was changed.")
        if self.is_stale:
            raise Refusal(
                "This signature no longer stands, because what it covers has changed. There is nothing to "
                "withdraw."
            )
        if deployment.is_final:
            raise Refusal(
                f"“{deployment}” is {deployment.now_in} and no longer changes. Its signatures stay as they "
                "are."
            )


class Staleness(models.Model):
    """What changed under a signature, who changed it, and when: the signature no longer stands."""

    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="staleness")
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    change = models.TextField()

    class Meta:
        verbose_name_plural = "stalenesses"

    def __str__(self) -> str:
        return f"{self.signature}: {self.change}"


class Withdrawal(TakenBack):
    """That a signer took a signature back: it no longer stands."""

    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="withdrawal")

    def __str__(self) -> str:
        return f"{self.signature}: {self.reason}"
