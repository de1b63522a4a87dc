"""One promise of a checklist, and the verbs that keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.core.files import File
from django.db import models
from django.urls import reverse
from django.utils import timezone

from checklists.actors import user_of
from checklists.markdown import plain
from checklists.models.item_queries import ItemQuerySet
from checklists.models.item_refusals import refuse_busy_target, refuse_parent
from checklists.models.item_states import UNKEPT, ItemKind, ItemState
from checklists.models.item_steps import ItemSteps
from checklists.models.keeping import Waiver
from checklists.models.proof import BACKS, Proof, ProofKind, ProofOutcome, file_proof, link_proof, note_proof
from checklists.models.turns import why_not_run
from checklists.texts import checked_note, checked_reason
from deployctl.accounts.roles import Role
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import InvalidInput, Refusal
from deployctl.operations import catalogue
from deployctl.runs import preconditions
from deployctl.runs.models import Run, Target


class Item(ItemSteps):
    """A promise. Its state is moved only by its verbs; an item with sub-items follows them."""

    kind = models.CharField(max_length=20, choices=ItemKind.choices, default=ItemKind.MANUAL)
    # Names from the catalogues, which are discovered and so not baked into migrations.
    operation = models.CharField(max_length=40, blank=True)
    check_name = models.CharField(max_length=60, blank=True)
    params = models.JSONField(default=dict)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    evidence_required = models.BooleanField(default=False)
    # Relative to the window: to its start where negative, else to its end. Kept, so that due times follow it.
    due_offset = models.DurationField(null=True)
    due_at = models.DateTimeField(null=True)
    # Text and commands below the item, as in a section.
    blocks = models.JSONField(default=list)

    objects: ClassVar[models.Manager[Item]] = models.Manager.from_queryset(ItemQuerySet)()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["section", "position"], name="item_positions_unique")]
        indexes = [models.Index(fields=["state", "due_at"], name="item_state_and_due")]

    def __str__(self) -> str:
        return plain(self.text)

    def get_absolute_url(self) -> str:
        """The item's page."""
        return reverse("checklists:item", args=[self.pk])

    @property
    def is_late(self) -> bool:
        """Whether it should have been kept by now."""
        return self.state in UNKEPT and self.due_at is not None and self.due_at < timezone.now()

    def needs_second_person(self, target: Target) -> bool:
        """Whether its operation waits for a second person on the deployment's target."""
        known = catalogue().get(self.operation)
        return known is not None and preconditions.needs_second_person(target, known)

    @property
    def is_exclusive(self) -> bool:
        """Whether its operation must be alone on the target."""
        known = catalogue().get(self.operation)
        return known is not None and known.exclusive

    # --- A person keeps it ----------------------------------------------------------------------------

    def complete(self, by: Actor, note: str = "") -> None:
        """Tick it.

        Args:
            note: asked for where an operation should prove the item and somebody ticks it by hand instead;
                where the item asks for evidence and has none, the note becomes it.

        Raises:
            NotAllowed: it is not theirs to tick.
            Refusal: it is done or waived already, follows its sub-items, or lacks the evidence it asks for.
            InvalidInput: it lacks the note it asks for.
        """
        note = checked_note(note)
        with self._changing(by):
            refuse_parent(self)
            lacks_evidence = self.evidence_required and not self.proofs.filter(outcome__in=BACKS).exists()
            if lacks_evidence and not note:
                raise Refusal(
                    f"“{self}” asks for evidence. It was not ticked; say in the note what shows it, or add a "
                    "link or a file first."
                )
            if self.kind == ItemKind.OPERATION and self.state != ItemState.DONE and not note:
                raise InvalidInput(
                    f"“{self}” is proven by the operation “{self.operation}”. It was not ticked; run it, "
                    "or say in the note how you know that it is done."
                )
            self._move(ItemState.DONE, ItemState.OPEN, ItemState.FAILED)
            if lacks_evidence:
                self._keep(note_proof(note), by)
            self._complete(by, note)
            self._tell(by, Action.ITEM_COMPLETED, "ticked", note=note)

    def undo(self, by: Actor) -> None:
        """Open it again, whether it was ticked, proven or failed.

        Raises:
            NotAllowed, Refusal: as for `complete`.
        """
        with self._changing(by):
            refuse_parent(self)
            before = self.state
            self._move(ItemState.OPEN, ItemState.DONE, ItemState.FAILED)
            self._withdraw_completion(by)
            self._tell(by, Action.ITEM_REOPENED, "opened again", before=before)

    def waive(self, by: Actor, reason: str) -> None:
        """Declare that it does not apply; with sub-items, all of them that are still open.

        Raises:
            InvalidInput: no reason.
            NotAllowed, Refusal: as for `complete`.
        """
        reason = checked_reason(reason)
        with self._changing(by):
            children = list(self.children.all())
            if children:
                open_ones = [c for c in children if c.state in {ItemState.OPEN, ItemState.FAILED}]
                if not open_ones:
                    raise Refusal(f"No sub-item of “{self}” is open, so there is nothing to waive.")
                for child in open_ones:
                    child.waive(by, reason)
                return
            self._move(ItemState.WAIVED, ItemState.OPEN, ItemState.FAILED)
            Waiver.objects.create(item=self, by=user_of(by), by_name=actor_name(by), reason=reason)
            self._tell(by, Action.ITEM_WAIVED, "waived", reason=reason)

    def unwaive(self, by: Actor) -> None:
        """Withdraw the waiver: the promise counts again.

        Raises:
            NotAllowed, Refusal: as for `complete`.
        """
        with self._changing(by):
            refuse_parent(self)
            self._move(ItemState.OPEN, ItemState.WAIVED)
            self.waivers.filter(withdrawn_at=None).update(
                withdrawn_at=timezone.now(), withdrawn_by_name=actor_name(by)
            )
            self._tell(by, Action.ITEM_WAIVER_REVOKED, "no longer waived")

    def add_proof(
        self, by: Actor, kind: str, *, text: str = "", url: str = "", file: File[bytes] | None = None
    ) -> Proof:
        """Put a note, a link or a file beside the item.

        Args:
            kind: `note`, `link` or `file`; runs and checks write their proofs themselves.
            text: the note, or words about the link or file.

        Raises:
            InvalidInput: something that cannot be kept.
            NotAllowed, Refusal: as for `complete`.
        """
        match kind:
            case ProofKind.NOTE:
                proof = note_proof(text)
            case ProofKind.LINK:
                proof = link_proof(url, text)
            case ProofKind.FILE:
                proof = file_proof(file, text)
            case _:
                raise InvalidInput(
                    f"A person adds a note, a link or a file, not “{kind}”. Nothing was added."
                )
        try:
            with self._changing(by):
                self._keep(proof, by)
        except BaseException:
            proof.forget_file()
            raise
        return proof

    def _keep(self, proof: Proof, by: Actor) -> None:
        proof.item, proof.by, proof.by_name = self, user_of(by), actor_name(by)
        proof.save(force_insert=True)
        facts = {"kind": proof.kind, "url": proof.url, "file": proof.file_name, "sha256": proof.file_sha256}
        self._tell(by, Action.ITEM_PROOF_ADDED, f"{proof.title} added", text=proof.text, **facts)

    # --- The machine proves it ------------------------------------------------------------------------

    def start(self, by: Actor, params: Mapping[str, object] | None = None, *, typed_name: str = "") -> Run:
        """Run the operation that proves the item.

        Args:
            params: override those of the template.
            typed_name: the target's name as the person gave it, where the operation overwrites something.

        The unkept items beside it that ask for the very same operation are proven by the same run: a seed
        that makes plans, packages and tests need not run three times.

        Returns:
            The run, queued or waiting for a second person; its proof is pending until it ends.

        Raises:
            Refusal: before the first gate is signed (unless that gate covers the item), while the deployment
                is halted or over, while the item is waived, or while something else works on the target.
            NotAllowed: not theirs, or not an operator.
            InvalidInput: parameters that the operation cannot take.
        """
        with self._changing(by) as deployment:
            refuse_parent(self)
            if self.kind != ItemKind.OPERATION:
                raise Refusal(f"“{self}” has no operation to run; it is kept by a person.")
            if reason := why_not_run(deployment.state, self.section.stage):
                raise Refusal(f"“{self}” was not started. {reason}")
            if self.state == ItemState.WAIVED:
                raise Refusal(f"“{self}” is waived, so nothing was started. Withdraw the waiver first.")
            if self.is_exclusive:
                waits = self.needs_second_person(deployment.target)
                refuse_busy_target(f"“{self}”", deployment, waits=waits)
            run = Run.request(
                target=deployment.target,
                kind=self.operation,
                params={**self.params, **(params or {})},
                by=by,
                authority=deployment.authority,
                typed_name=typed_name,
            )
            alike = Item.objects.proven_alike(self) if not params else Item.objects.none()
            for item in (self, *alike):
                item._await_proof(run, by)
        return run

    def _await_proof(self, run: Run, by: Actor) -> None:
        Proof.objects.create(
            item=self,
            kind=ProofKind.RUN,
            outcome=ProofOutcome.PENDING,
            run=run,
            by=user_of(by),
            by_name=actor_name(by),
        )
        self._tell(by, Action.ITEM_RUN_REQUESTED, f"run {run.pk} requested", run=run.pk)

    def prove(self, proof: Proof, outcome: ProofOutcome, *, by: Actor, summary: str) -> None:
        """Take over what a run found: pass → done, fail → failed; anything else leaves the item as it is.

        Args:
            proof: the pending proof of the run; one that is settled already is left alone.
            by: who asked for the run.
            summary: the run's own words.
        """
        with self.deployment.changing():
            self.refresh_from_db(fields=["state"])
            pending = Proof.objects.filter(pk=proof.pk, outcome=ProofOutcome.PENDING)
            if pending.update(outcome=outcome, text=summary) != 1:
                return
            action, what = Action.ITEM_PROOF_FAILED, f"not proven by {proof.title}"
            if outcome == ProofOutcome.PASS:
                action, what = Action.ITEM_PROVEN, f"proven by {proof.title}"
                if self.state in {ItemState.OPEN, ItemState.FAILED}:
                    self._move(ItemState.DONE, self.state)
                    self._complete(by, summary)
            elif outcome == ProofOutcome.FAIL:
                action, what = Action.ITEM_FAILED, f"failed by {proof.title}"
                if self.state in {ItemState.OPEN, ItemState.DONE}:
                    self._move(ItemState.FAILED, self.state)
                    self._withdraw_completion(by)
            self._tell(by, action, what, run=proof.run_id, outcome=outcome.value)
