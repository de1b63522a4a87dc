"""A point of a deployment that needs signatures, and the roles' places in it."""

from __future__ import annotations

from django.db import models

from checklists.markdown.model import GateKey, ParsedGate
from checklists.models import Deployment, DeploymentState
from checklists.models.state import UNDER_WAY
from checklists.models.turns import COVERED_BY
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
# Where the deployment usually is when the gate is signed.
USUAL_STATE: dict[str, DeploymentState] = {
    FIRST_GATE: DeploymentState.PLANNING,
    GateKey.POST: DeploymentState.VERIFYING,
}
# Where the deployment is once the gate is signed, and until it goes on.
SIGNED_STATE: dict[str, DeploymentState] = {
    FIRST_GATE: DeploymentState.APPROVED,
    GateKey.POST: DeploymentState.SIGNED_OFF,
}


class GateState(models.TextChoices):
    """A gate is signed when every slot holds a signature that still stands."""

    OPEN = "open", "Open"
    SIGNED = "signed", "Signed"


class Gate(models.Model):
    """`pre` approves the deployment; `post` signs it off."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="gates")
    key = models.CharField(max_length=20)
    title = models.CharField(max_length=300)
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=GateState.choices, default=GateState.OPEN)
    # The template's rules; they never change.
    creator_may_sign = models.BooleanField(default=True)
    # An operation whose newest run on the target has to have succeeded, and how long ago at most.
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
        """Give a new deployment one of its template's gates, with a slot per signature line."""
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
        """What a signature here says, in the signer's words."""
        return MEANINGS[self.key]

    @property
    def is_signed(self) -> bool:
        """Whether every slot holds as many signatures that still stand as it asks for."""
        return self.state == GateState.SIGNED

    @property
    def usual_state(self) -> DeploymentState:
        """Where the deployment usually is when this gate is signed."""
        return USUAL_STATE[self.key]

    @property
    def signable_states(self) -> tuple[DeploymentState, ...]:
        """Where the deployment has to be for this gate to be signed now.

        An approval that was withdrawn while the work was under way can be given again there.
        """
        renewed = UNDER_WAY if self.key == FIRST_GATE and not self.is_signed else ()
        return (self.usual_state, *renewed)

    def standing_signatures(self) -> list[Signature]:
        """The signatures of this gate that still stand, in the order of its places."""
        return [signature for slot in self.slots.all() for signature in slot.standing_signatures()]

    def required_run_number(self) -> int | None:
        """The run on the target that fulfils what this gate requires; None where it requires nothing."""
        run = Run.objects.newest_ended(self.deployment.target_id, self.requires) if self.requires else None
        return run.pk if run else None

    def record(self) -> records.Json:
        """The record that a signature in this gate is given over, as it is now."""
        return records.build(self.deployment, self.key)

    def covers(self, stage: str) -> bool:
        """Whether this gate's signers signed what stands in a stage."""
        return stage in COVERED_BY[self.key]

    def break_signatures(self, *, by: Actor, change: str) -> None:
        """Mark every standing signature whose record is no longer the record, and reopen the gate.

        Called inside the transaction that changed the content, so that no moment exists in which a
        signature stands over content it does not cover. A deployment that has ended does not change: its
        record stays the one that was signed.

        Args:
            by: who changed it.
            change: what changed, as a sentence.
        """
        standing = list(Signature.objects.standing().filter(slot__gate=self))
        if not standing or self.deployment.is_final:
            return
        digest = records.digest(self.record())
        broken = [signature for signature in standing if signature.record_digest != digest]
        if not broken:
            return
        for signature in broken:
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
        """Go on after a signature was lost: the gate, and what rests on it, opens again.

        Called inside the transaction in which it was lost.

        Args:
            by: who changed or withdrew something.
            change: what it was, as a sentence.
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
        self.break_later(by=by, change=change)
        self.announce()

    def break_later(self, *, by: Actor, change: str) -> None:
        """Later gates were signed over the signatures of this one: have them look whether those changed."""
        for gate in self.deployment.gates.filter(position__gt=self.position).order_by("position"):
            gate.deployment = self.deployment
            gate.break_signatures(by=by, change=change)

    def close_if_full(self, *, by: Actor) -> bool:
        """Move the gate to signed when its last slot was filled, and the deployment with it.

        An approval that is given again while the work is under way leaves the deployment where it is.

        Returns:
            Whether the gate is now signed.
        """
        if not all(slot.is_full for slot in self.slots.all()):
            return False
        if Gate.objects.filter(pk=self.pk, state=GateState.OPEN).update(state=GateState.SIGNED) != 1:
            raise Refusal(f"{self.title} was signed by somebody else a moment ago. Reload the page.")
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
        """Tell every open page of the deployment that the gate's fragment changed."""
        live.announce(f"deployment:{self.deployment_id}", f"gate-{self.pk}")
