"""One item as the page shows it to one person."""

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

UNFINISHED = frozenset({RunState.WAITING, RunState.QUEUED, RunState.RUNNING})

# Rendering Markdown takes some 100 µs; the same 150 texts are shown again and again.
shown_inline = lru_cache(maxsize=4096)(inline_html)
shown_block = lru_cache(maxsize=1024)(block_html)


@dataclass(frozen=True)
class Block:
    """Text, or commands to copy."""

    kind: str
    text: str
    identifier: str

    @property
    def html(self) -> SafeString:
        """A note as safe HTML."""
        return SafeString(shown_block(self.text))


def blocks_of(raw: Iterable[dict[str, str]], owner: str) -> list[Block]:
    """Stored blocks as the page shows them.

    Args:
        owner: the id of the element that they belong to, which makes theirs unique.
    """
    return [Block(block["kind"], block["text"], f"{owner}-block-{n}") for n, block in enumerate(raw)]


@dataclass
class ItemRow:
    """An item, its proof, and what the viewer may do with it.

    `item` comes from `items.for_pages()`, which brings who ticked or waived it along.
    """

    item: Item
    deployment: Deployment
    permissions: DeploymentPermissions
    operator: bool
    proofs: list[Proof] = field(default_factory=list)
    children: list[ItemRow] = field(default_factory=list)
    # `readiness.signed_stages`, asked only where it is shown.
    signed: Callable[[], frozenset[Stage]] = frozenset
    now: datetime = field(default_factory=timezone.now)
    open: bool = False
    problem: str = ""

    @cached_property
    def url(self) -> str:
        """The item's address, which those of its completion and its runs begin with."""
        return self.item.get_absolute_url()

    @property
    def html(self) -> SafeString:
        """The item's text as safe HTML."""
        return SafeString(shown_inline(self.item.text))

    @property
    def accepts(self) -> str:
        """The endings of files that may be added as evidence, for the browser."""
        return ACCEPTED

    @cached_property
    def is_parent(self) -> bool:
        """Whether it follows its sub-items."""
        return bool(self.children)

    @property
    def completed_children(self) -> int:
        """How many sub-items are done or waived."""
        return sum(1 for child in self.children if child.item.state not in OUTSTANDING)

    @property
    def blocks(self) -> list[Block]:
        """Text and commands below the item."""
        return blocks_of(self.item.blocks, f"item-{self.item.pk}")

    @property
    def is_done(self) -> bool:
        """Whether the tick stands."""
        return self.item.state == ItemState.DONE

    @property
    def is_waived(self) -> bool:
        """Whether it was declared not to apply."""
        return self.item.state == ItemState.WAIVED

    @cached_property
    def is_outstanding(self) -> bool:
        """Whether somebody still has to do something."""
        return self.item.state in OUTSTANDING

    # --- Proof ----------------------------------------------------------------------------------------

    @cached_property
    def run(self) -> Run | None:
        """The run that proves it just now."""
        running = (p.run for p in reversed(self.proofs) if p.run is not None and p.run.state in UNFINISHED)
        return next(running, None)

    @cached_property
    def last_run_proof(self) -> Proof | None:
        """The last run's proof, whatever it said."""
        return next((proof for proof in reversed(self.proofs) if proof.kind == ProofKind.RUN), None)

    @property
    def notes_and_files(self) -> list[Proof]:
        """What people put beside it."""
        return [proof for proof in self.proofs if proof.kind != ProofKind.RUN]

    @property
    def lacks_evidence(self) -> bool:
        """Whether it asks for evidence that nobody gave yet; a run that failed or still runs is none."""
        return self.item.evidence_required and not any(
            proof.outcome in COUNTS_AS_EVIDENCE for proof in self.proofs
        )

    @cached_property
    def is_outdated(self) -> bool:
        """Whether it is done on the strength of a proof whose time is over; see `ItemQuerySet.outdated`."""
        timed = [p.valid_until for p in self.proofs if p.valid_until and p.outcome == ProofOutcome.PASS]
        if not self.is_done or not timed or timed[-1] >= self.now:
            return False
        self.item.proven_until = timed[-1]  # type: ignore[attr-defined]  # as `outdated()` would
        ticked = getattr(self.item, "done_at", None)
        return ticked is None or ticked <= timed[-1]

    # --- Time -----------------------------------------------------------------------------------------

    @cached_property
    def overdue_by(self) -> timedelta | None:
        """How late it is, if it is."""
        due = self.item.due_at
        return self.now - due if due is not None and self.is_outstanding and due < self.now else None

    # --- What the viewer may do -----------------------------------------------------------------------

    @cached_property
    def frozen(self) -> str:
        """Why nobody changes it any more; empty when they may."""
        return frozen_reason(self.deployment.state, self.item.section.stage)

    @cached_property
    def may_complete(self) -> bool:
        """Whether the viewer may tick, undo, waive and prove it."""
        return not self.frozen and self.permissions.may_complete(self.item)

    @property
    def is_mine(self) -> bool:
        """Whether it waits on the viewer's role."""
        return self.permissions.is_assigned(self.item)

    @cached_property
    def is_signed(self) -> bool:
        """Whether a change would withdraw signatures."""
        stage = self.item.section.stage
        return not self.frozen and (stage in self.signed() or is_signed(self.deployment.state, stage))

    @property
    def completes_with_one_click(self) -> bool:
        """Whether one press is enough: nothing is asked for, and no signature would be lost."""
        if not self.may_complete or self.is_parent or self.is_signed or self.is_waived:
            return False
        if self.is_done:
            return True
        return self.item.kind != ItemKind.OPERATION and not self.lacks_evidence

    @property
    def is_in_bulk(self) -> bool:
        """Whether it may be ticked together with others of its section."""
        item = self.item
        return item.state == ItemState.OPEN and item.kind == ItemKind.MANUAL and not item.evidence_required

    @cached_property
    def run_blocked_reason(self) -> str:
        """Why its operation may not start now; empty when it may."""
        if self.run is not None:
            return f"Run {self.run.pk} is in progress."
        if not self.operator:
            return "Only operators start operations."
        return run_blocked_reason(self.deployment.state, self.item.section.stage)

    @property
    def may_run(self) -> bool:
        """Whether the viewer may start its operation now."""
        return (
            self.item.kind == ItemKind.OPERATION
            and not self.is_parent
            and not self.is_waived
            and self.may_complete
            and not self.run_blocked_reason
        )

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What is asked before its operation starts; None where one press is enough."""
        known = catalogue().get(self.item.operation)
        return preconditions.confirmation(self.deployment.target, known) if known else None

    @cached_property
    def operation_title(self) -> str:
        """What its operation is called."""
        known = catalogue().get(self.item.operation)
        return known.title if known else self.item.operation

    @property
    def operation_help(self) -> str:
        """What its operation does."""
        known = catalogue().get(self.item.operation)
        return known.help if known else "This installation does not know that operation any more."
