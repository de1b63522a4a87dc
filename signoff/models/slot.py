"""A slot of a gate, and signing in it."""

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
from deployctl.text import pluralize
from signoff import permissions
from signoff import record as records
from signoff.models.gate import Gate

if TYPE_CHECKING:
    from signoff.models.delegation import Delegation
    from signoff.models.signature import Signature


class Slot(models.Model):
    """A slot of a gate for one role."""

    gate = models.ForeignKey(Gate, on_delete=models.PROTECT, related_name="slots")
    position = models.PositiveIntegerField()
    role = models.CharField(max_length=20, choices=Role.choices)
    label = models.CharField(max_length=200)
    # How many people must sign here; each person counts once.
    quorum = models.PositiveSmallIntegerField(default=1)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["gate", "position"], name="slot_positions_unique"),
            models.CheckConstraint(condition=models.Q(quorum__gte=1), name="slot_quorum_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.gate}: {self.label}"

    def valid_signatures(self) -> list[Signature]:
        """Return the valid signatures of this slot, the oldest first."""
        return [signature for signature in self.signatures.all() if signature.is_valid]

    @property
    def is_full(self) -> bool:
        """Return True if it has as many valid signatures as its quorum."""
        return len(self.valid_signatures()) >= self.quorum

    def sign_denied_reason(self, by: User) -> str:
        """Return why this person may not sign here now, as a sentence; empty if they may."""
        return permissions.sign_denied_reason(self, by)

    def sign(self, *, by: User, digest: str, password: str = "", code: str = "", passkey: str = "") -> None:
        """Sign this slot for the record with this digest.

        Every signature takes two components (21 CFR 11.200(a)(1)). All other conditions are checked first, so
        that a signature that cannot be given does not use up a code. The code is verified in its own
        transaction, so that a failed attempt is counted. Then all conditions are checked again under the
        deployment's lock.

        Args:
            by: the signer.
            digest: the digest of the record shown to the signer.
            password: the signer's password; people without one sign in again at their provider instead.
            code: a current code of the signer's second factor; recovery codes cannot sign.
            passkey: the response of a passkey to a challenge for this digest, instead of a code.

        Raises:
            NotAllowed: `by` may not sign this slot.
            Refusal: the record has changed since it was shown, or the gate has blockers.
            WrongPassword, MustChangePassword, WrongCode, WrongPasskey: see `signing_credentials.verify`.
            ReauthenticationRequired, Throttled, NoSecondFactor: see `signing_credentials.verify`.
        """
        try:
            self._check(by, digest)
        except NotAllowed as error:
            self._record_rejection(by, error)
            raise
        verified = self._verify(by, SigningCredentials(password, code, passkey), digest)
        # Serializes signers with each other and with every change of the deployment.
        with self.gate.deployment.locked():
            slot = Slot.objects.select_related("gate__deployment__target").get(pk=self.pk)
            signer = User.objects.get(pk=by.pk)
            record = slot._check(signer, digest)
            # The record contains data of people and of the target, whose changes are not all announced. All
            # valid signatures of a gate must cover the same record.
            slot.gate.mark_stale_signatures(by=by, change="a person or the target in the record changed")
            slot._add_signature(signer, record, digest, verified)

    def _verify(self, by: User, credentials: SigningCredentials, digest: str) -> VerifiedCredentials:
        """Verify both components; record a rejection in the audit log."""
        try:
            return verify(by, credentials, about=digest)
        except InvalidInput as error:
            self._record_rejection(by, error)
            raise

    def _record_rejection(self, by: User, error: DeployctlError) -> None:
        data = {"gate": self.gate.key, "role": self.role, "reason": error.message}
        entry = denied_log.record(
            Action.SIGNATURE_REJECTED, by=by, subject=self, deployment_id=self.gate.deployment_id, data=data
        )
        if entry is not None:
            security_emails.send_on_repeated_failure(entry)

    def _check(self, by: User, digest: str) -> records.Json:
        if sentence := self.sign_denied_reason(by):
            raise NotAllowed(sentence)
        record = self.gate.record()
        if records.digest(record) != digest:
            raise Refusal(
                "The record changed after this page was loaded, and nothing was signed. "
                "Review the current record and sign again."
            )
        blockers = [
            blocker
            for blocker in readiness.blockers(self.gate.deployment, self.gate.key)
            if blocker.blocks_signing
        ]
        if blockers:
            first = "The first one: " if len(blockers) > 1 else ""
            raise Refusal(
                f"Nothing was signed, because this gate has {pluralize(len(blockers), 'blocker')}. "
                f"{first}{blockers[0].sentence}"
            )
        return record

    def _add_signature(
        self, by: User, record: records.Json, digest: str, verified: VerifiedCredentials
    ) -> None:
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
                "on_behalf_of": for_name,
                # The required run, which is not part of the record.
                "required_run": gate.required_run_number(),
                "method": verified.method,
            },
        )
        self.signatures.create(
            signer=by,
            printed_name=by.name,
            delegation=delegation,
            for_name=for_name,
            role=self.role,
            meaning=gate.meaning,
            signed_at=Now(),
            timezone=by.timezone,
            method=verified.method,
            factor_since=verified.factor_since,
            record=record,
            record_digest=digest,
            audit_sequence=entry.sequence,
        )
        gate.close_if_full(by=by)
        gate.recheck_later_gates(by=by, change=f"{by.name} signed “{gate.title}” again")
        gate.announce()

    def _delegation(self, by: User) -> Delegation | None:
        """Return the delegation of a signer who does not have the slot's role."""
        return None if permissions.has_role(self, by) else permissions.delegation_of(self, by)
