"""A role's place in a gate, and the act of signing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Now

from checklists import readiness
from deployctl import audit
from deployctl.accounts import denied_log, security_emails
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.accounts.signing_credentials import SigningCredentials, VerifiedCredentials, verify
from deployctl.audit.actions import Action
from deployctl.errors import DeployctlError, InvalidInput, NotAllowed, Refusal
from signoff import record as records
from signoff import rights
from signoff.models.gate import Gate

if TYPE_CHECKING:
    from signoff.models.delegation import Delegation
    from signoff.models.signature import Signature


class Slot(models.Model):
    """A role's place in a gate."""

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="slots")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=20, choices=Role.choices)
    label = models.CharField(max_length=200)
    # How many different people have to sign here.
    quorum = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["gate", "position"], name="slot_positions_unique"),
            models.CheckConstraint(condition=models.Q(quorum__gte=1), name="slot_asks_for_somebody"),
        ]

    def __str__(self) -> str:
        return f"{self.gate}: {self.label}"

    def standing_signatures(self) -> list[Signature]:
        """The signatures in this place that still stand, the oldest first."""
        return [signature for signature in self.signatures.all() if signature.stands]

    @property
    def is_full(self) -> bool:
        """Whether as many people signed as it asks for."""
        return len(self.standing_signatures()) >= self.quorum

    def refusal(self, by: User) -> str:
        """Why this person may not sign here now, as a sentence; empty when they may."""
        return rights.why_not_sign(self, by)

    def sign(self, *, by: User, digest: str, password: str = "", code: str = "", passkey: str = "") -> None:
        """Sign: this person, in this place, over the record with this digest.

        The person proves who they are with two components each time (21 CFR 11.200(a)(1)).
        Everything cheap is asked first, so that a code is not spent on what cannot succeed; the code is
        then spent in a transaction of its own, so that a failed attempt counts even though nothing else
        is kept; then everything is asked again under a lock on the deployment.

        Args:
            by: the signer.
            digest: the digest of the record that was shown to the signer.
            password: the signer's password; people without one have signed in again elsewhere instead.
            code: a current code of the signer's second factor; recovery codes cannot sign.
            passkey: instead of a code the answer of a passkey, asked for this digest.

        Raises:
            NotAllowed: role, permission, place or person does not fit.
            Refusal: the record changed since it was shown, or is not ready to be signed.
            WrongPassword, TemporaryPassword, WrongCode, WrongPasskey, NotSignedInAgain, Throttled, NoFactor:
                see `proof.verify`.
        """
        try:
            self._check(by, digest)
        except NotAllowed as error:
            self._note_refusal(by, error)
            raise
        proven = self._prove(by, SigningCredentials(password, code, passkey), digest)
        # Serialises signers, and them with everything that changes the deployment.
        with self.gate.deployment.changing():
            slot = Slot.objects.select_related("gate__deployment__target").get(pk=self.pk)
            signer = User.objects.get(pk=by.pk)
            record = slot._check(signer, digest)
            # The record also says how people and the target are called, which may change without the
            # deployment being told: all signatures of a gate stand over one and the same record.
            slot.gate.break_signatures(
                by=by, change="what the record says of people or of the target changed"
            )
            slot._record_signature(signer, record, digest, proven)

    def _prove(self, by: User, credentials: SigningCredentials, digest: str) -> VerifiedCredentials:
        """Have both components accepted; where they are refused, this place's history says so."""
        try:
            return verify(by, credentials, about=digest)
        except InvalidInput as error:
            self._note_refusal(by, error)
            raise

    def _note_refusal(self, by: User, error: DeployctlError) -> None:
        data = {"gate": self.gate.key, "role": self.role, "reason": error.message}
        entry = denied_log.record(
            Action.SIGNATURE_REJECTED, by=by, subject=self, deployment_id=self.gate.deployment_id, data=data
        )
        if entry is not None:
            security_emails.send_on_repeated_failure(entry)

    def _check(self, by: User, digest: str) -> records.Json:
        if sentence := self.refusal(by):
            raise NotAllowed(sentence)
        record = self.gate.record()
        if records.digest(record) != digest:
            raise Refusal(
                "The record changed after this page was loaded, so nothing was signed. "
                "Reload the page, read what changed, and sign again."
            )
        blockers = [
            blocker
            for blocker in readiness.blockers(self.gate.deployment, self.gate.key)
            if blocker.hinders_signing
        ]
        if blockers:
            count = f"{len(blockers)} things stand" if len(blockers) > 1 else "One thing stands"
            raise Refusal(f"Not ready to be signed. {count} in the way, first: {blockers[0].sentence}")
        return record

    def _record_signature(
        self, by: User, record: records.Json, digest: str, proven: VerifiedCredentials
    ) -> None:
        from signoff.models.signature import Signature

        gate = self.gate
        delegation = self._delegation(by)
        for_name = delegation.delegator.name if delegation else ""
        entry = audit.append(
            Action.SIGNATURE_CREATED,
            by=by,
            subject=self,
            deployment_id=gate.deployment_id,
            data={
                "gate": gate.key,
                "role": self.role,
                "meaning": gate.meaning,
                "digest": digest,
                "for": for_name,
                # What made the gate ready besides the record, as it was at this moment.
                "required_run": gate.required_run_number(),
                "method": proven.method,
            },
        )
        Signature.objects.create(
            slot=self,
            signer=by,
            printed_name=by.name,
            delegation=delegation,
            for_name=for_name,
            role=self.role,
            meaning=gate.meaning,
            signed_at=Now(),
            timezone=by.timezone,
            method=proven.method,
            factor_since=proven.factor_since,
            record=record,
            record_digest=digest,
            audit_sequence=entry.sequence,
        )
        gate.close_if_full(by=by)
        gate.break_later(by=by, change=f"{by.name} signed “{gate.title}” anew")
        gate.announce()

    def _delegation(self, by: User) -> Delegation | None:
        """By which delegation somebody signs who does not have the place's role."""
        return None if rights.has_role(self, by) else rights.delegation_of(self, by)
