"""An item's row: state, proof and permitted actions, for one viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

from django.utils import timezone
from django.utils.safestring import SafeString

from checklists.markdown import block_html, inline_html
from checklists.markdown.model import Stage
from checklists.models import Deployment, Item, ItemKind, ItemState, Proof, ProofKind, ProofOutcome
from checklists.models.item_state import OUTSTANDING
from checklists.models.proof import COUNTS_AS_EVIDENCE
from checklists.models.stage_rules import frozen_reason, is_signed, run_blocked_reason
from checklists.permissions import DeploymentPermissions
from checklists.proof_files import ACCEPTED
from deployctl.operations import catalogue
from deployctl.runs import preconditions
from deployctl.runs.models import Run, RunState
from deployctl.runs.preconditions import Confirmation

ACTIVE = frozenset({RunState.WAITING, RunState.QUEUED, RunState.RUNNING})

# Rendering a text takes about 100 µs, and every page shows the same 150 texts.
cached_inline_html = lru_cache(maxsize=4096)(inline_html)
cached_block_html = lru_cache(maxsize=1024)(block_html)


@dataclass(frozen=True)
class Block:
    """A note, or commands to copy."""

    kind: str
    text: str
    identifier: str

    @property
    def html(self) -> SafeString:
        """The note as safe HTML."""
        return SafeString(cached_block_html(self.text))


def blocks_of(stored: Iterable[dict[str, str]], owner: str) -> list[Block]:
    """Return the blocks of a section or item.

    Args:
        stored: the `blocks` of the model.
        owner: the element ID of the section or item, the prefix of the blocks' IDs.
    """
    return [Block(block["kind"], block["text"], f"{owner}-block-{n}") for n, block in enumerate(stored)]


@dataclass
class ItemRow:
    """An item with its proofs and the viewer's permitted actions.

    `item` comes from `Item.objects.for_pages()`, which annotates its completion and waiver.
    """

    item: Item
    deployment: Deployment
    permissions: DeploymentPermissions
    is_operator: bool
    proofs: list[Proof] = field(default_factory=list)
    children: list[ItemRow] = field(default_factory=list)
    # Calls `readiness.signed_stages`, which needs a query.
    signed_stages: Callable[[], frozenset[Stage]] = frozenset
    now: datetime = field(default_factory=timezone.now)
    expanded: bool = False
    error: str = ""

    @cached_property
    def url(self) -> str:
        """The item's URL, the prefix of the URLs of its completion and runs."""
        return self.item.get_absolute_url()

    @property
    def html(self) -> SafeString:
        """The item's text as safe HTML."""
        return SafeString(cached_inline_html(self.item.text))

    @property
    def accepted_extensions(self) -> str:
        """The accepted extensions of evidence files, for the `accept` attribute."""
        return ACCEPTED

    @cached_property
    def is_parent(self) -> bool:
        """Return True if the item has sub-items, which determine its state."""
        return bool(self.children)

    @property
    def completed_children(self) -> int:
        """The number of sub-items that are done or waived."""
        return sum(1 for child in self.children if child.item.state not in OUTSTANDING)

    @property
    def blocks(self) -> list[Block]:
        """The item's notes and commands."""
        return blocks_of(self.item.blocks, f"item-{self.item.pk}")

    @property
    def is_done(self) -> bool:
        """Return True if the item is done."""
        return self.item.state == ItemState.DONE

    @property
    def is_waived(self) -> bool:
        """Return True if the item is waived."""
        return self.item.state == ItemState.WAIVED

    @cached_property
    def is_outstanding(self) -> bool:
        """Return True if the item is neither done nor waived."""
        return self.item.state in OUTSTANDING

    # --- Proof ----------------------------------------------------------------------------------------

    @cached_property
    def run(self) -> Run | None:
        """The active run of the item's operation."""
        active = (p.run for p in reversed(self.proofs) if p.run is not None and p.run.state in ACTIVE)
        return next(active, None)

    @cached_property
    def last_run_proof(self) -> Proof | None:
        """The proof of the last run, whatever its outcome."""
        return next((proof for proof in reversed(self.proofs) if proof.kind == ProofKind.RUN), None)

    @property
    def attachments(self) -> list[Proof]:
        """The proofs that are not runs."""
        return [proof for proof in self.proofs if proof.kind != ProofKind.RUN]

    @property
    def lacks_evidence(self) -> bool:
        """Return True if required evidence is missing; failed and active runs don't count as evidence."""
        return self.item.evidence_required and not any(
            proof.outcome in COUNTS_AS_EVIDENCE for proof in self.proofs
        )

    @cached_property
    def is_outdated(self) -> bool:
        """Return True if the item is done, but its proof has expired; see `ItemQuerySet.outdated`."""
        timed = [p.valid_until for p in self.proofs if p.valid_until and p.outcome == ProofOutcome.PASS]
        if not self.is_done or not timed or timed[-1] >= self.now:
            return False
        self.item.proven_until = timed[-1]  # type: ignore[attr-defined]  # as `outdated()` annotates it
        completed_at = getattr(self.item, "done_at", None)
        return completed_at is None or completed_at <= timed[-1]

    # --- Time -----------------------------------------------------------------------------------------

    @cached_property
    def overdue_by(self) -> timedelta | None:
        """The time since the item was due; None if it isn't late."""
        due = self.item.due_at
        return self.now - due if due is not None and self.is_outstanding and due < self.now else None

    # --- What the viewer may do -----------------------------------------------------------------------

    @cached_property
    def frozen_reason(self) -> str:
        """The reason why the item can no longer change; empty if it can."""
        return frozen_reason(self.deployment.state, self.item.section.stage)

    @cached_property
    def may_complete(self) -> bool:
        """Return True if the viewer may complete, undo, waive and prove the item."""
        return not self.frozen_reason and self.permissions.may_complete(self.item)

    @property
    def is_mine(self) -> bool:
        """Return True if the item is assigned to a role of the viewer."""
        return self.permissions.is_assigned(self.item)

    @cached_property
    def is_signed(self) -> bool:
        """Return True if a change would make signatures stale."""
        stage = self.item.section.stage
        return not self.frozen_reason and (
            stage in self.signed_stages() or is_signed(self.deployment.state, stage)
        )

    @property
    def completes_with_one_click(self) -> bool:
        """Return True if completing or undoing it needs no input and affects no signature."""
        if not self.may_complete or self.is_parent or self.is_signed or self.is_waived:
            return False
        if self.is_done:
            return True
        return self.item.kind != ItemKind.OPERATION and not self.lacks_evidence

    @property
    def allows_bulk_completion(self) -> bool:
        """Return True if the item can be completed together with others of its section."""
        item = self.item
        return item.state == ItemState.OPEN and item.kind == ItemKind.MANUAL and not item.evidence_required

    @cached_property
    def run_blocked_reason(self) -> str:
        """The reason why the viewer can't start the operation now; empty if they can."""
        if self.run is not None:
            return f"Run {self.run.pk} is in progress."
        if not self.is_operator:
            return "Only operators can start operations."
        return run_blocked_reason(self.deployment.state, self.item.section.stage)

    @property
    def may_run(self) -> bool:
        """Return True if the viewer may start the operation now."""
        return (
            self.item.kind == ItemKind.OPERATION
            and not self.is_parent
            and not self.is_waived
            and self.may_complete
            and not self.run_blocked_reason
        )

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """The confirmation that starting the operation requires; None if it requires none."""
        known = catalogue().get(self.item.operation)
        return preconditions.confirmation(self.deployment.target, known) if known else None

    @cached_property
    def operation_title(self) -> str:
        """The operation's title."""
        known = catalogue().get(self.item.operation)
        return known.title if known else self.item.operation

    @property
    def operation_help(self) -> str:
        """The operation's description."""
        known = catalogue().get(self.item.operation)
        return known.help if known else "This operation is no longer installed."
