"""A gate: a point of a deployment that needs signatures."""

from __future__ import annotations

from django.db import models

from checklists.markdown.model import GateKey, ParsedGate
from checklists.models import Deployment, DeploymentState
from checklists.models.deployment_state import IN_PROGRESS
from checklists.models.stage_rules import COVERED_BY
from deployctl import audit
from deployctl.audit.actions import Action
from deployctl.audit.actors import Actor
from deployctl.errors import Refusal
from deployctl.runs.models import Run
from deployctl.web import live
from signoff import record as records
from signoff.models.signature import Signature, Staleness

FIRST_GATE = GateKey.PRE
MEANINGS: dict[str, str] = {
    FIRST_GATE: "I approve this deployment for production.",
    GateKey.POST: "I verified this deployment and accept its result.",
}
# The deployment's usual state when the gate is signed.
USUAL_STATE: dict[str, DeploymentState] = {
    FIRST_GATE: DeploymentState.PLANNING,
    GateKey.POST: DeploymentState.VERIFYING,
}
# The deployment's state after the gate was signed.
SIGNED_STATE: dict[str, DeploymentState] = {
    FIRST_GATE: DeploymentState.APPROVED,
    GateKey.POST: DeploymentState.SIGNED_OFF,
}


class GateState(models.TextChoices):
    """The state of a gate: signed if every slot has as many valid signatures as its quorum."""

    OPEN = "open", "Open"
    SIGNED = "signed", "Signed"


class Gate(models.Model):
    """A gate of a deployment. Signing `pre` approves the deployment; signing `post` signs it off."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="gates")
    key = models.CharField(max_length=20)
    title = models.CharField(max_length=300)
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=GateState.choices, default=GateState.OPEN)
    # Rules from the template; they never change.
    creator_may_sign = models.BooleanField(default=True)
    # The operation whose newest run on the target must have succeeded, and the maximum age of that run.
    requires = models.CharField(max_length=40, blank=True)
    requires_within = models.DurationField(null=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["deployment", "key"], name="gate_keys_unique"),
            models.CheckConstraint(
                condition=models.Q(requires="", requires_within=None)
                | ~models.Q(requires="") & models.Q(requires_within__isnull=False),
                name="gate_requires_within_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @classmethod
    def create_for(cls, deployment: Deployment, parsed: ParsedGate, *, position: int) -> Gate:
        """Create a gate of a new deployment, with a slot per signature line of the template."""
        gate = cls.objects.create(
            deployment=deployment,
            key=parsed.key,
            title=parsed.title,
            position=position,
            creator_may_sign=parsed.rules.creator,
            requires=parsed.rules.requires,
            requires_within=parsed.rules.within,
        )
        for number, slot in enumerate(parsed.slots):
            gate.slots.create(position=number, role=slot.role, label=slot.label, quorum=slot.quorum)
        return gate

    @property
    def meaning(self) -> str:
        """The meaning of a signature, in the first person."""
        return MEANINGS[self.key]

    @property
    def is_signed(self) -> bool:
        """Return True if every slot has as many valid signatures as its quorum."""
        return self.state == GateState.SIGNED

    @property
    def usual_state(self) -> DeploymentState:
        """The deployment's usual state when this gate is signed."""
        return USUAL_STATE[self.key]

    @property
    def signable_states(self) -> tuple[DeploymentState, ...]:
        """The states of the deployment in which this gate can be signed now.

        If an approval was revoked after the deployment began, it can be given again while the deployment is
        in progress.
        """
        reopened = IN_PROGRESS if self.key == FIRST_GATE and not self.is_signed else ()
        return (self.usual_state, *reopened)

    def valid_signatures(self) -> list[Signature]:
        """Return the valid signatures of this gate in the order of its slots."""
        return [signature for slot in self.slots.all() for signature in slot.valid_signatures()]

    def required_run_number(self) -> int | None:
        """Return the number of the run that this gate requires; None if it requires none."""
        run = Run.objects.newest_ended(self.deployment.target_id, self.requires) if self.requires else None
        return run.pk if run else None

    def record(self) -> records.Json:
        """Return the current record that a signature in this gate covers."""
        return records.build(self.deployment, self.key)

    def covers(self, stage: str) -> bool:
        """Return True if this gate covers the items of a stage."""
        return stage in COVERED_BY[self.key]

    def mark_stale_signatures(self, *, by: Actor, change: str) -> None:
        """Mark every valid signature whose record differs from the current one as stale, and reopen the gate.

        Called inside the transaction that changed the content, so a signature is never valid for content that
        it does not cover. The record of a deployment that has ended no longer changes.

        Args:
            by: the person or machine that made the change.
            change: a description of the change, as a sentence.
        """
        valid = list(Signature.objects.valid().filter(slot__gate=self))
        if not valid or self.deployment.is_final:
            return
        digest = records.digest(self.record())
        stale = [signature for signature in valid if signature.record_digest != digest]
        if not stale:
            return
        for signature in stale:
            Staleness.objects.create(signature=signature, by_name=audit.actor_name(by), change=change)
            audit.append(
                Action.SIGNATURE_STALE,
                by=by,
                subject=signature,
                deployment_id=self.deployment_id,
                data={"gate": self.key, "role": signature.role, "change": change},
            )
        self.reopen(by=by, change=change)

    def reopen(self, *, by: Actor, change: str) -> None:
        """Open the gate and everything that depends on it, after a signature became stale or was revoked.

        Called inside the transaction that changed the signature.

        Args:
            by: the person or machine that made the change.
            change: a description of the change, as a sentence.
        """
        was_signed = Gate.objects.filter(pk=self.pk, state=GateState.SIGNED).update(state=GateState.OPEN) == 1
        if was_signed:
            self.state = GateState.OPEN
            audit.append(
                Action.GATE_REOPENED,
                by=by,
                subject=self,
                deployment_id=self.deployment_id,
                data={"gate": self.key, "change": change},
            )
            if self.deployment.state == SIGNED_STATE[self.key]:
                self.deployment.reopen(by=by, reason=change)
        self.recheck_later_gates(by=by, change=change)
        self.announce()

    def recheck_later_gates(self, *, by: Actor, change: str) -> None:
        """Check the signatures of later gates, whose records contain the signatures of this one."""
        for gate in self.deployment.gates.filter(position__gt=self.position).order_by("position"):
            gate.deployment = self.deployment
            gate.mark_stale_signatures(by=by, change=change)

    def close_if_full(self, *, by: Actor) -> bool:
        """Mark the gate as signed, and advance the deployment, if its last slot was filled.

        A renewed approval leaves the state of a deployment in progress unchanged.

        Returns:
            True if the gate is now signed.
        """
        if not all(slot.is_full for slot in self.slots.all()):
            return False
        if Gate.objects.filter(pk=self.pk, state=GateState.OPEN).update(state=GateState.SIGNED) != 1:
            raise Refusal(f"Another person has just completed “{self.title}”. Reload the page.")
        self.state = GateState.SIGNED
        audit.append(
            Action.GATE_SIGNED,
            by=by,
            subject=self,
            deployment_id=self.deployment_id,
            data={"gate": self.key},
        )
        if self.deployment.state == self.usual_state:
            if self.key == FIRST_GATE:
                self.deployment.approve(by=by)
            else:
                self.deployment.sign_off(by=by)
        return True

    def announce(self) -> None:
        """Make open pages of the deployment reload the gate."""
        live.announce(f"deployment:{self.deployment_id}", f"gate-{self.pk}")
