"""A deployment's page: phases, sections and items, filtered and with progress, for one viewer."""

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
from checklists.presenters.item_filter import ItemFilter
from checklists.presenters.item_row import Block, ItemRow, blocks_of
from checklists.readiness import Blocker
from deployctl.accounts.models import User
from deployctl.accounts.roles import Permission
from deployctl.runs.models import Run

REQUIRED_STAGES = frozenset(stage for gate in ("pre", "post", "closure") for stage in COVERED_BY[gate])


@dataclass
class SectionPart:
    """A section with the items that the filter shows."""

    section: Section
    rows: list[ItemRow]
    all_rows: list[ItemRow]

    @property
    def blocks(self) -> list[Block]:
        """The section's notes and commands."""
        return blocks_of(self.section.blocks, f"section-{self.section.pk}")

    @cached_property
    def counted_rows(self) -> list[ItemRow]:
        """All counted items, shown or not."""
        return [row for row in self.all_rows if not row.is_parent]

    @property
    def total(self) -> int:
        """The number of counted items."""
        return len(self.counted_rows)

    @property
    def completed(self) -> int:
        """The number of counted items that are done or waived."""
        return sum(1 for row in self.counted_rows if row.item.state not in OUTSTANDING)

    @property
    def bulk_count(self) -> int:
        """The number of items that the viewer can complete together."""
        return sum(
            1 for row in self.counted_rows if row.completes_with_one_click and row.allows_bulk_completion
        )


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
        """The number of counted items."""
        return sum(part.total for part in self.sections)

    @property
    def completed(self) -> int:
        """The number of counted items that are done or waived."""
        return sum(part.completed for part in self.sections)

    @property
    def visible_sections(self) -> list[SectionPart]:
        """The sections that have items to show, or no items at all."""
        return [part for part in self.sections if part.rows or not part.all_rows]

    @property
    def identifier(self) -> str:
        """The element ID of the heading, which is announced when the progress changes."""
        return f"phase-{self.deployment.pk}-{self.number}"


class DeploymentPage:
    """A deployment's page for one viewer; loads the data once, when it is first needed."""

    def __init__(
        self,
        deployment: Deployment,
        viewer: User,
        item_filter: ItemFilter = ItemFilter.ALL,
        search: str = "",
    ) -> None:
        """Store the arguments without a query.

        Args:
            deployment: from `Deployment.objects.for_page()`.
            viewer: the user whose permissions apply.
            item_filter: which items to show.
            search: show only items that contain this text, or whose section's title does.
        """
        self.deployment = deployment
        self.viewer = viewer
        self.item_filter = item_filter
        self.search = search.strip()
        self.now = timezone.now()
        self.permissions = DeploymentPermissions.of(viewer, deployment)
        self.is_operator = viewer.may(Permission.OPERATOR)

    @cached_property
    def rows(self) -> list[ItemRow]:
        """All items in order, with sub-items also in the `children` of their parents."""
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
        """The phases that have items to show; all phases without a filter."""
        by_section: dict[int, list[ItemRow]] = {}
        for row in self.rows:
            by_section.setdefault(row.item.section_id, []).append(row)
        phases: dict[int, PhasePart] = {}
        for section in self._sections:
            all_rows = by_section.get(section.pk, [])
            shown = [row for row in all_rows if row.item.parent_id is None and self._is_shown(row)]
            part = SectionPart(section, shown, all_rows)
            phase = phases.setdefault(
                section.phase_position, PhasePart(self.deployment, section.phase_position, section.phase)
            )
            phase.sections.append(part)
        for phase in phases.values():
            phase.expanded = self._is_expanded(phase)
        return [
            phase
            for phase in phases.values()
            if not self.is_filtered or any(part.rows for part in phase.sections)
        ]

    @cached_property
    def filter_counts(self) -> dict[ItemFilter, int]:
        """The number of counted items that each filter shows."""
        matches = [row for row in self.rows if self._matches_search(row)]
        return {each: sum(1 for row in matches if each.counts(row)) for each in ItemFilter}

    @property
    def is_filtered(self) -> bool:
        """Return True if the page shows only some of the items."""
        return self.item_filter != ItemFilter.ALL or bool(self.search)

    @property
    def query_string(self) -> str:
        """The query string of this filter and search, such as `?show=mine&find=seed`; may be empty."""
        return self._query_string(self.item_filter)

    @property
    def filter_choices(self) -> list[tuple[ItemFilter, int, str]]:
        """Each filter with its number of items and its query string."""
        return [(each, count, self._query_string(each)) for each, count in self.filter_counts.items()]

    @property
    def required_rows(self) -> list[ItemRow]:
        """The required items: counted items except those of the stages `ongoing` and `reference`."""
        return [row for row in self.rows if not row.is_parent and row.item.section.stage in REQUIRED_STAGES]

    @cached_property
    def progress(self) -> tuple[int, int]:
        """The number of required items that are done or waived, and of all required items."""
        rows = self.required_rows
        return sum(1 for row in rows if not row.is_outstanding), len(rows)

    @property
    def optional_count(self) -> int:
        """The number of counted items that are not required."""
        return sum(1 for row in self.rows if not row.is_parent) - len(self.required_rows)

    @cached_property
    def blockers(self) -> list[Blocker]:
        """The blockers of the next gate, or of closing."""
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
        """The items with an active run, each with the run."""
        return [(row, row.run) for row in self.rows if row.run is not None]

    @cached_property
    def _sections(self) -> Iterable[Section]:
        return list(Section.objects.filter(checklist__deployment=self.deployment.pk))

    @cached_property
    def _signed_stages(self) -> frozenset[Stage]:
        return readiness.signed_stages(self.deployment)

    def _row(self, item: Item, proofs: list[Proof]) -> ItemRow:
        return ItemRow(
            item,
            self.deployment,
            self.permissions,
            self.is_operator,
            proofs,
            signed_stages=lambda: self._signed_stages,
            now=self.now,
        )

    def _query_string(self, item_filter: ItemFilter) -> str:
        params = {"show": "" if item_filter == ItemFilter.ALL else item_filter.value, "find": self.search}
        params = {name: value for name, value in params.items() if value}
        return f"?{urlencode(params)}" if params else ""

    def _is_shown(self, row: ItemRow) -> bool:
        """Return True if a top-level item or one of its sub-items matches the filter and the search."""
        return self.item_filter.shows(row) and any(
            self._matches_search(each) for each in (row, *row.children)
        )

    def _matches_search(self, row: ItemRow) -> bool:
        search = self.search.casefold()
        return search in row.item.text.casefold() or search in row.item.section.title.casefold()

    def _is_expanded(self, phase: PhasePart) -> bool:
        if self.is_filtered:
            return True
        current = current_stages(self.deployment.state)
        return any(part.section.stage in current and part.completed < part.total for part in phase.sections)
