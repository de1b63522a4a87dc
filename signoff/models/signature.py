"""One person's signature over the exact content of a deployment; never edited or deleted."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models

from checklists.validators import clean_reason
from deployctl import audit
from deployctl.accounts.models import User
from deployctl.audit.actions import Action
from deployctl.errors import NotAllowed, Refusal

if TYPE_CHECKING:
    from signoff.models.delegation import Delegation
    from signoff.models.slot import Slot

NEW_FACTOR_PERIOD = dt.timedelta(hours=24)


class Revocation(models.Model):
    """The base of rows that revoke another row: by whom, when and why."""

    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()

    class Meta:
        abstract = True


class SignatureQuerySet(models.QuerySet["Signature"]):
    """The queries of signatures."""

    def for_pages(self) -> SignatureQuerySet:
        """Join what pages show, and leave out the records, which are large."""
        return self.select_related("staleness", "revocation", "delegation").defer("record")

    def valid(self) -> SignatureQuerySet:
        """Return the signatures that are neither stale nor revoked."""
        return self.filter(staleness=None, revocation=None)


class Signature(models.Model):
    """A signature with its record, meaning, time and method. Created by `Slot.sign` and never changed."""

    slot: models.ForeignKey[Slot, Slot] = models.ForeignKey(
        "signoff.Slot", on_delete=models.PROTECT, related_name="signatures"
    )
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=200)
    # Set if the signer is a delegate.
    delegation: models.ForeignKey[Delegation | None, Delegation | None] = models.ForeignKey(
        "signoff.Delegation", on_delete=models.PROTECT, null=True, related_name="signatures"
    )
    for_name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=20)
    meaning = models.CharField(max_length=300)
    signed_at = models.DateTimeField()
    timezone = models.CharField(max_length=60)
    method = models.CharField(max_length=60)
    # The time when the second factor used was set up.
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
        """The signer's printed name, and the delegator's if there is one."""
        return f"{self.printed_name}, for {self.for_name}" if self.for_name else self.printed_name

    @property
    def people(self) -> frozenset[int]:
        """The primary keys of the signer and of the delegator."""
        delegator = {self.delegation.delegator_id} if self.delegation else set()
        return frozenset({self.signer_id} | delegator)

    @property
    def has_new_factor(self) -> bool:
        """Return True if the second factor was set up less than a day before signing.

        Pages show it to co-signers, because a person who can replace somebody's password and second factor
        could sign in their name.
        """
        return self.factor_since is not None and self.signed_at - self.factor_since < NEW_FACTOR_PERIOD

    @property
    def is_stale(self) -> bool:
        """Return True if its record has changed since."""
        return hasattr(self, "staleness")

    @property
    def is_revoked(self) -> bool:
        """Return True if its signer revoked it."""
        return hasattr(self, "revocation")

    @property
    def is_valid(self) -> bool:
        """Return True if it is neither stale nor revoked."""
        return not self.is_stale and not self.is_revoked

    def revoke(self, *, by: User, reason: str) -> None:
        """Revoke the signature, reopen the gate and return the deployment to the state before the gate.

        The row of the signature stays unchanged; this adds a row.

        Args:
            by: its signer.
            reason: shown to everybody.

        Raises:
            NotAllowed: `by` is not the signer.
            InvalidInput: the reason is empty.
            Refusal: it is stale or revoked already, or the deployment has ended.
        """
        reason = clean_reason(reason)
        if by.pk != self.signer_id:
            raise NotAllowed(
                f"Only {self.printed_name} can revoke this signature. Nothing was changed; if you see a "
                "problem, halt the deployment."
            )
        with self.slot.gate.deployment.locked() as deployment:
            current = (
                type(self).objects.select_related("slot__gate", "staleness", "revocation").get(pk=self.pk)
            )
            current.slot.gate.deployment = deployment
            current._require_revocable()
            SignatureRevocation.objects.create(signature=current, by=by, by_name=by.name, reason=reason)
            audit.append(
                Action.SIGNATURE_REVOKED,
                by=by,
                subject=current,
                deployment_id=deployment.pk,
                data={"gate": current.slot.gate.key, "role": current.role, "reason": reason},
            )
            current.slot.gate.reopen(by=by, change=f"{by.name} revoked a signature: {reason}")

    def _require_revocable(self) -> None:
        deployment = self.slot.gate.deployment
        if self.is_revoked:
            raise Refusal(f"{self.printed_name} has already revoked this signature. Nothing was changed.")
        if self.is_stale:
            raise Refusal(
                "This signature is stale, because the record has changed since. It no longer counts and need "
                "not be revoked."
            )
        if deployment.is_final:
            raise Refusal(
                f"“{deployment}” is {deployment.state_phrase} and no longer changes. Its signatures stay "
                "as they are."
            )


class Staleness(models.Model):
    """The change that made a signature stale: who made it, and when."""

    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="staleness")
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=200)
    change = models.TextField()

    class Meta:
        verbose_name_plural = "stalenesses"

    def __str__(self) -> str:
        return f"{self.signature}: {self.change}"


class SignatureRevocation(Revocation):
    """The revocation of a signature by its signer."""

    signature = models.OneToOneField(Signature, on_delete=models.PROTECT, related_name="revocation")

    def __str__(self) -> str:
        return f"{self.signature}: {self.reason}"
