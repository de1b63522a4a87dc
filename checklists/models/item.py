"""Items of a checklist, and the methods that change their state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.core.files import File
from django.db import models
from django.urls import reverse
from django.utils import timezone

from checklists import hooks
from checklists.actors import user_of
from checklists.markdown import ItemKind, strip_markup
from checklists.models.completions import Completion, Waiver
from checklists.models.item_queries import ItemQuerySet
from checklists.models.item_state import OUTSTANDING, ItemState
from checklists.models.proof import (
    COUNTS_AS_EVIDENCE,
    Proof,
    ProofKind,
    ProofOutcome,
    file_proof,
    link_proof,
    note_proof,
)
from checklists.models.stage_rules import frozen_reason, run_blocked_reason
from checklists.permissions import DeploymentPermissions
from checklists.validators import clean_note, clean_reason
from deployctl import audit
from deployctl.accounts.roles import Role
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import InvalidInput, Refusal
from deployctl.operations import catalogue
from deployctl.runs import preconditions
from deployctl.runs.models import Run, Target

if TYPE_CHECKING:
    from checklists.models.checklist import Section
    from checklists.models.deployment import Deployment


class Item(models.Model):
    """An item of a checklist. Only its methods change its state; sub-items determine their parent's state."""

    section: models.ForeignKey[Section, Section] = models.ForeignKey(
        "checklists.Section", on_delete=models.PROTECT, related_name="items"
    )
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    text = models.TextField()
    state = models.CharField(max_length=20, choices=ItemState.choices, default=ItemState.OPEN)
    kind = models.CharField(
        max_length=20, choices=[(kind.value, kind.label) for kind in ItemKind], default=ItemKind.MANUAL
    )
    # Operations and checks are discovered at runtime, so these have no `choices`.
    operation = models.CharField(max_length=40, blank=True)
    check_name = models.CharField(max_length=60, blank=True)
    params = models.JSONField(default=dict)
    role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    evidence_required = models.BooleanField(default=False)
    # Relative to the window: to its start if negative, else to its end.
    due_offset = models.DurationField(null=True)
    due_at = models.DateTimeField(null=True)
    # Text and commands below the item, as in `Section.blocks`.
    blocks = models.JSONField(default=list)

    objects: ClassVar[models.Manager[Item]] = models.Manager.from_queryset(ItemQuerySet)()

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["section", "position"], name="item_positions_unique")]
        indexes = [models.Index(fields=["state", "due_at"], name="item_state_and_due")]

    def __str__(self) -> str:
        return strip_markup(self.text)

    def get_absolute_url(self) -> str:
        """Return the URL of the item's page."""
        return reverse("checklists:item", args=[self.pk])

    @property
    def deployment(self) -> Deployment:
        """The deployment of its checklist."""
        return self.section.checklist.deployment

    @property
    def is_late(self) -> bool:
        """Return True if it is open or failed after its due time."""
        return self.state in OUTSTANDING and self.due_at is not None and self.due_at < timezone.now()

    def needs_second_person(self, target: Target) -> bool:
        """Return True if its operation needs a second person's consent on `target`."""
        known = catalogue().get(self.operation)
        return known is not None and preconditions.needs_second_person(target, known)

    @property
    def is_exclusive(self) -> bool:
        """Return True if its operation must be the only run on the target."""
        known = catalogue().get(self.operation)
        return known is not None and known.exclusive

    # --- Changes by people -----------------------------------------------------------------------------

    def complete(self, by: Actor, note: str = "") -> None:
        """Complete the item.

        Args:
            note: required to complete an item by hand that an operation should prove. If the item requires
                evidence and has none, the note becomes the evidence.

        Raises:
            NotAllowed: `by` may not complete the item.
            Refusal: the item is already done or waived, has sub-items, or lacks required evidence.
            InvalidInput: the required note is missing.
        """
        note = clean_note(note)
        with self._locked(by):
            self._require_leaf()
            lacks_evidence = (
                self.evidence_required and not self.proofs.filter(outcome__in=COUNTS_AS_EVIDENCE).exists()
            )
            if lacks_evidence and not note:
                raise Refusal(
                    f"“{self}” requires evidence, so it was not completed. Describe the evidence in the note,"
                    " or add a link or a file first."
                )
            if self.kind == ItemKind.OPERATION and self.state != ItemState.DONE and not note:
                raise InvalidInput(
                    f"“{self}” is proven by the operation “{self.operation}”, so it was not completed. Run "
                    "the operation, or explain in the note how you know that the item is done."
                )
            self._set_state(ItemState.DONE, ItemState.OPEN, ItemState.FAILED)
            if lacks_evidence:
                self._save_proof(note_proof(note), by)
            self._complete(by, note)
            self._record(by, Action.ITEM_COMPLETED, "completed", note=note)

    def undo(self, by: Actor) -> None:
        """Reopen the item after it was completed, proven or failed.

        Raises:
            NotAllowed, Refusal: as for `complete`.
        """
        with self._locked(by):
            self._require_leaf()
            before = self.state
            self._set_state(ItemState.OPEN, ItemState.DONE, ItemState.FAILED)
            self._undo_completion(by)
            self._record(by, Action.ITEM_REOPENED, "reopened", before=before)

    def waive(self, by: Actor, reason: str) -> None:
        """Waive the item as not applicable. If it has sub-items, waive those that are outstanding.

        Raises:
            InvalidInput: no reason.
            NotAllowed, Refusal: as for `complete`.
        """
        reason = clean_reason(reason)
        with self._locked(by):
            children = list(self.children.all())
            if children:
                outstanding = [c for c in children if c.state in OUTSTANDING]
                if not outstanding:
                    raise Refusal(f"“{self}” has no open sub-items, so there is nothing to waive.")
                for child in outstanding:
                    child.waive(by, reason)
                return
            self._set_state(ItemState.WAIVED, ItemState.OPEN, ItemState.FAILED)
            Waiver.objects.create(item=self, by=user_of(by), by_name=actor_name(by), reason=reason)
            self._record(by, Action.ITEM_WAIVED, "waived", reason=reason)

    def unwaive(self, by: Actor) -> None:
        """Withdraw the waiver and reopen the item.

        Raises:
            NotAllowed, Refusal: as for `complete`.
        """
        with self._locked(by):
            self._require_leaf()
            self._set_state(ItemState.OPEN, ItemState.WAIVED)
            self.waivers.filter(withdrawn_at=None).update(
                withdrawn_at=timezone.now(), withdrawn_by_name=actor_name(by)
            )
            self._record(by, Action.ITEM_WAIVER_REVOKED, "no longer waived")

    def add_proof(
        self, by: Actor, kind: str, *, text: str = "", url: str = "", file: File[bytes] | None = None
    ) -> Proof:
        """Add a note, a link or a file as proof.

        Args:
            kind: `note`, `link` or `file`; proofs of other kinds come from runs and checks.
            text: the note, or a description of the link or file.

        Raises:
            InvalidInput: the content is empty, too large or of an unknown type.
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
                    f"“{kind}” isn't a kind of proof that people can add. Nothing was added; add a note, a "
                    "link or a file."
                )
        try:
            with self._locked(by):
                self._save_proof(proof, by)
        except BaseException:
            proof.delete_file()
            raise
        return proof

    def _save_proof(self, proof: Proof, by: Actor) -> None:
        proof.item, proof.by, proof.by_name = self, user_of(by), actor_name(by)
        proof.save(force_insert=True)
        facts = {"kind": proof.kind, "url": proof.url, "file": proof.file_name, "sha256": proof.file_sha256}
        self._record(by, Action.ITEM_PROOF_ADDED, f"{proof.title} added", text=proof.text, **facts)

    # --- Runs as proof ---------------------------------------------------------------------------------

    def start(self, by: Actor, params: Mapping[str, object] | None = None, *, typed_name: str = "") -> Run:
        """Request a run of the operation that proves the item.

        The run also proves the section's other outstanding items with the same operation, parameters and
        role.

        Args:
            params: override the parameters of the template.
            typed_name: the target's name as typed by the user, if the operation overwrites something.

        Returns:
            The run, queued or waiting for consent; its proof is pending until it ends.

        Raises:
            Refusal: the deployment's state doesn't allow the run, the item is waived or has no operation, or
                another run holds the target.
            NotAllowed: `by` may not complete the item, or is not an operator.
            InvalidInput: the parameters are invalid.
        """
        with self._locked(by) as deployment:
            self._require_leaf()
            if self.kind != ItemKind.OPERATION:
                raise Refusal(f"“{self}” has no operation, so nothing was started. Complete it by hand.")
            if reason := run_blocked_reason(deployment.state, self.section.stage):
                raise Refusal(f"“{self}” was not started. {reason}")
            if self.state == ItemState.WAIVED:
                raise Refusal(f"“{self}” is waived, so nothing was started. Withdraw the waiver first.")
            if self.is_exclusive:
                needs_consent = self.needs_second_person(deployment.target)
                deployment.require_free_target(f"“{self}”", needs_consent=needs_consent)
            run = Run.request(
                target=deployment.target,
                kind=self.operation,
                params={**self.params, **(params or {})},
                by=by,
                authority=deployment.authority,
                typed_name=typed_name,
            )
            others = Item.objects.with_same_operation(self) if not params else Item.objects.none()
            for item in (self, *others):
                item._add_pending_proof(run, by)
        return run

    def _add_pending_proof(self, run: Run, by: Actor) -> None:
        Proof.objects.create(
            item=self,
            kind=ProofKind.RUN,
            outcome=ProofOutcome.PENDING,
            run=run,
            by=user_of(by),
            by_name=actor_name(by),
        )
        self._record(by, Action.ITEM_RUN_REQUESTED, f"run {run.pk} requested", run=run.pk)

    def apply_proof(self, proof: Proof, outcome: ProofOutcome, *, by: Actor, summary: str) -> None:
        """Apply the outcome of a run: pass → done, fail → failed; others leave the item unchanged.

        Args:
            proof: the run's pending proof; a settled one is left alone.
            by: the person or machine that requested the run.
            summary: `Run.summary`.
        """
        with self.deployment.locked():
            self.refresh_from_db(fields=["state"])
            pending = Proof.objects.filter(pk=proof.pk, outcome=ProofOutcome.PENDING)
            if pending.update(outcome=outcome, text=summary) != 1:
                return
            action, what = Action.ITEM_PROOF_FAILED, f"not proven by {proof.title}"
            if outcome == ProofOutcome.PASS:
                action, what = Action.ITEM_PROVEN, f"proven by {proof.title}"
                if self.state in {ItemState.OPEN, ItemState.FAILED}:
                    self._set_state(ItemState.DONE, self.state)
                    self._complete(by, summary)
            elif outcome == ProofOutcome.FAIL:
                action, what = Action.ITEM_FAILED, f"failed by {proof.title}"
                if self.state in {ItemState.OPEN, ItemState.DONE}:
                    self._set_state(ItemState.FAILED, self.state)
                    self._undo_completion(by)
            self._record(by, action, what, run=proof.run_id, outcome=outcome.value)

    # --- Locking, state, audit -------------------------------------------------------------------------

    @contextmanager
    def _locked(self, by: Actor) -> Iterator[Deployment]:
        """Lock the deployment, reload the item's state, and check that `by` may change the item now."""
        with self.deployment.locked() as deployment:
            self.refresh_from_db(fields=["state"])
            DeploymentPermissions.of(by, deployment).require_complete(self)
            if reason := frozen_reason(deployment.state, self.section.stage):
                raise Refusal(f"“{self}” was not changed. {reason}")
            yield deployment

    def _set_state(self, to: ItemState, *sources: str) -> None:
        if Item.objects.filter(pk=self.pk, state__in=sources).update(state=to) != 1:
            raise Refusal(self._conflict_message())
        self.state = to

    def _complete(self, by: Actor, note: str) -> None:
        Completion.objects.create(item=self, by=user_of(by), by_name=actor_name(by), note=note)

    def _undo_completion(self, by: Actor) -> None:
        self.completions.filter(undone_at=None).update(
            undone_at=timezone.now(), undone_by_name=actor_name(by)
        )

    def _record(self, by: Actor, action: Action, what: str, **data: object) -> None:
        """Update parents, notify handlers, append audit entries and announce the changed fragments."""
        ancestors = list(self._update_ancestors())
        stage = self.section.stage
        hooks.record_changed.send(self.deployment, by, f"“{self}” {what}", stage)
        self._audit(action, by, {key: value for key, value in data.items() if value != ""})
        for ancestor in (ancestor for ancestor, changed in ancestors if changed):
            ancestor._audit(Action.ITEM_ROLLED_UP, by, {"state": ancestor.state, "caused_by": str(self)})
        ids = [f"item-{item.pk}" for item in (self, *(ancestor for ancestor, _ in ancestors))]
        phase = f"phase-{self.deployment.pk}-{self.section.phase_position}"
        self.deployment.announce(*ids, f"section-{self.section_id}", phase)

    def _update_ancestors(self) -> Iterator[tuple[Item, bool]]:
        """Derive each ancestor's state from its sub-items; yield it with True if its state changed."""
        child = self
        while child.parent_id is not None:
            parent = Item.objects.get(pk=child.parent_id)
            state = ItemState.of_children(parent.children.values_list("state", flat=True))
            changed = state != parent.state
            if changed:
                parent._set_state(state, parent.state)
            yield parent, changed
            child = parent

    def _audit(self, action: Action, by: Actor, data: dict[str, object]) -> None:
        audit.append(
            action, by=by, subject=self, deployment_id=self.section.checklist.deployment_id, data=data
        )

    def _require_leaf(self) -> None:
        """Raise Refusal if the item has sub-items, which determine its state."""
        if self.children.exists():
            raise Refusal(
                f"The state of “{self}” follows from its sub-items. Nothing was changed; complete, waive or "
                "reopen the sub-items."
            )

    def _conflict_message(self) -> str:
        """Return a message that says who brought the item into its current state, and when."""
        state = ItemState(self.state)
        if state == ItemState.DONE:
            completion = self.completions.filter(undone_at=None).first()
            who = f"{completion.by_name} on {_format_time(completion.at)}" if completion else "its sub-items"
            status = f"was already completed by {who}"
        elif state == ItemState.WAIVED:
            waiver = self.waivers.filter(withdrawn_at=None).first()
            who = (
                f"{waiver.by_name} on {_format_time(waiver.at)} ({waiver.reason})"
                if waiver
                else "its sub-items"
            )
            status = f"was already waived by {who}"
        elif state == ItemState.FAILED:
            status = "has failed; see its last proof for the reason"
        else:
            undone = self.completions.exclude(undone_at=None).order_by("-undone_at").first()
            status = "is open"
            if undone is not None and undone.undone_at is not None:
                status += f"; {undone.undone_by_name} reopened it on {_format_time(undone.undone_at)}"
        return f"“{self}” {status}. Nothing was changed; the page shows the current state."


def _format_time(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%-d %b at %H:%M %Z}"
