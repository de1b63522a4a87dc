"""A deployment with all its phases, sections and items, as the page shows them to one person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlencode

from django.utils import timezone

from checklists import readiness
from checklists.markdown.model import Stage
from checklists.models import Deployment, Item, Proof, Section
from checklists.models.item_state import OUTSTANDING
from checklists.models.stage_rules import COVERED_BY, NEXT_GATE, current_stages
from checklists.permissions import DeploymentPermissions
from checklists.presenters.item_filter import Show
from checklists.presenters.item_row import Block, ItemRow, blocks_of
from checklists.readiness import Blocker
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.runs.models import Run


@dataclass
class SectionPart:
    """A section with the items that the filter lets through."""

    section: Section
    rows: list[ItemRow]
    all_rows: list[ItemRow]

    @property
    def blocks(self) -> list[Block]:
        """Its text and commands."""
        return blocks_of(self.section.blocks, f"section-{self.section.pk}")

    @cached_property
    def leaves(self) -> list[ItemRow]:
        """Every item that somebody keeps, shown or not."""
        return [row for row in self.all_rows if not row.is_parent]

    @property
    def total(self) -> int:
        """How many promises there are."""
        return len(self.leaves)

    @property
    def completed(self) -> int:
        """How many of them are done or waived."""
        return sum(1 for row in self.leaves if row.item.state not in OUTSTANDING)

    @property
    def for_bulk(self) -> int:
        """How many the viewer could tick together."""
        return sum(1 for row in self.leaves if row.completes_with_one_click and row.is_in_bulk)


@dataclass
class PhasePart:
    """A phase with its sections."""

    deployment: Deployment
    number: int
    title: str
    sections: list[SectionPart] = field(default_factory=list)
    expanded: bool = False

    @property
    def total(self) -> int:
        """How many promises there are."""
        return sum(part.total for part in self.sections)

    @property
    def completed(self) -> int:
        """How many of them are done or waived."""
        return sum(part.completed for part in self.sections)

    @property
    def shown(self) -> list[SectionPart]:
        """The sections that have something to show."""
        return [part for part in self.sections if part.rows or not part.all_rows]

    @property
    def identifier(self) -> str:
        """The id of its head, which is announced when its progress changes."""
        return f"phase-{self.deployment.pk}-{self.number}"


class DeploymentPage:
    """Reads a deployment for one viewer; everything else on the page is computed from that."""

    def __init__(self, deployment: Deployment, viewer: User, show: Show = Show.ALL, find: str = "") -> None:
        """Prepare; nothing is read yet.

        Args:
            deployment: from `Deployment.objects.for_page()`.
            viewer: decides what may be done.
            show: which items to show.
            find: show only items with these words, in their text or in the title of their section.
        """
        self.deployment = deployment
        self.viewer = viewer
        self.show = show
        self.find = find.strip()
        self.now = timezone.now()
        self.permissions = DeploymentPermissions.of(viewer, deployment)
        self.operator = viewer.may(Permission.OPERATOR)

    @cached_property
    def rows(self) -> list[ItemRow]:
        """Every item in order, sub-items known to their parents."""
        items = Item.objects.of_deployment(self.deployment.pk).for_pages()
        proofs: dict[int, list[Proof]] = {}
        for proof in Proof.objects.of_deployment(self.deployment.pk):
            proofs.setdefault(proof.item_id, []).append(proof)
        sections = {section.pk: section for section in self._sections}
        rows: dict[int, ItemRow] = {}
        for item in items:
            item.section = sections[item.section_id]
            rows[item.pk] = self._row(item, proofs.get(item.pk, []))
        for row in rows.values():
            if row.item.parent_id is not None:
                rows[row.item.parent_id].children.append(row)
        return list(rows.values())

    @cached_property
    def phases(self) -> list[PhasePart]:
        """The phases, with what the filter shows of them."""
        by_section: dict[int, list[ItemRow]] = {}
        for row in self.rows:
            by_section.setdefault(row.item.section_id, []).append(row)
        phases: dict[int, PhasePart] = {}
        for section in self._sections:
            found = by_section.get(section.pk, [])
            shown = [row for row in found if row.item.parent_id is None and self._shows(row)]
            part = SectionPart(section, shown, found)
            phase = phases.setdefault(
                section.phase_position, PhasePart(self.deployment, section.phase_position, section.phase)
            )
            phase.sections.append(part)
        for phase in phases.values():
            phase.expanded = self._is_expanded(phase)
        return [
            phase for phase in phases.values() if not self.is_filtered or any(s.rows for s in phase.sections)
        ]

    @cached_property
    def counts(self) -> dict[Show, int]:
        """How many items each filter would show."""
        found = [row for row in self.rows if self._matches(row)]
        return {show: sum(1 for row in found if show.counts(row)) for show in Show}

    @property
    def is_filtered(self) -> bool:
        """Whether the page shows a part of the checklist only."""
        return self.show != Show.ALL or bool(self.find)

    @property
    def query(self) -> str:
        """What the page shows, as it stands in its address: `?show=mine&find=seed`, or nothing."""
        return self._query(self.show)

    @property
    def choices(self) -> list[tuple[Show, int, str]]:
        """The filters: each with how many items it would show, and its query."""
        return [(show, count, self._query(show)) for show, count in self.counts.items()]

    @property
    def counted_rows(self) -> list[ItemRow]:
        """The promises that gates and closing wait for; recurring ones and reading matter do not count."""
        return [row for row in self.rows if not row.is_parent and row.item.section.stage in COUNTED]

    @cached_property
    def progress(self) -> tuple[int, int]:
        """How many promises are kept, of how many."""
        rows = self.counted_rows
        return sum(1 for row in rows if not row.is_outstanding), len(rows)

    @property
    def uncounted(self) -> int:
        """How many items nothing waits for: recurring ones and reading matter."""
        return sum(1 for row in self.rows if not row.is_parent) - len(self.counted_rows)

    @cached_property
    def blockers(self) -> list[Blocker]:
        """What is in the way of the next gate."""
        gate_key = NEXT_GATE.get(self.deployment.state)
        if gate_key is None:
            return []
        unsettled = [
            row.item for row in self.rows if (row.is_outstanding or row.run is not None) and not row.is_parent
        ]
        running = {row.item.pk: row.run for row in self.rows if row.run is not None}
        target = self.deployment.target
        unknown = [Run(target=target, **facts) for facts in self.deployment.lost_runs]
        outdated = [row.item for row in self.rows if row.is_outdated and not row.is_parent]
        return readiness.evaluate(self.deployment, gate_key, unsettled, running, unknown, outdated)

    @property
    def running(self) -> list[tuple[ItemRow, Run]]:
        """The items that runs prove just now."""
        return [(row, row.run) for row in self.rows if row.run is not None]

    @cached_property
    def _sections(self) -> Iterable[Section]:
        return list(Section.objects.filter(checklist__deployment=self.deployment.pk))

    @cached_property
    def _signed(self) -> frozenset[Stage]:
        return readiness.signed_stages(self.deployment)

    def _row(self, item: Item, proofs: list[Proof]) -> ItemRow:
        row = ItemRow(item, self.deployment, self.permissions, self.operator, proofs, now=self.now)
        row.signed = lambda: self._signed
        return row

    def _query(self, show: Show) -> str:
        asked = {"show": "" if show == Show.ALL else show.value, "find": self.find}
        asked = {name: value for name, value in asked.items() if value}
        return f"?{urlencode(asked)}" if asked else ""

    def _shows(self, row: ItemRow) -> bool:
        """Whether a row of the first level is shown: for itself, or for one of its sub-items."""
        return self.show.shows(row) and any(self._matches(each) for each in (row, *row.children))

    def _matches(self, row: ItemRow) -> bool:
        words = self.find.casefold()
        return words in row.item.text.casefold() or words in row.item.section.title.casefold()

    def _is_expanded(self, phase: PhasePart) -> bool:
        if self.is_filtered:
            return True
        turn = current_stages(self.deployment.state)
        return any(part.section.stage in turn and part.completed < part.total for part in phase.sections)


COUNTED = frozenset(stage for gate in ("pre", "post", "closure") for stage in COVERED_BY[gate])
