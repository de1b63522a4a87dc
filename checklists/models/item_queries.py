"""Queries of items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, F, FilteredRelation, OuterRef, Q, Subquery
from django.db.models.functions import Now

from checklists.markdown.model import ItemKind
from checklists.models.completions import Completion
from checklists.models.item_state import OUTSTANDING, ItemState
from checklists.models.proof import Proof, ProofOutcome
from checklists.models.stage_rules import COVERED_BY, NEXT_GATE
from checklists.models.team import TeamMember
from deployctl.accounts.models import User

if TYPE_CHECKING:
    from checklists.models.item import Item


class ItemQuerySet(models.QuerySet["Item"]):
    """A query of items."""

    def of_deployment(self, deployment_id: int) -> ItemQuerySet:
        """Return all items of a deployment, in the order of its template."""
        return self.filter(section__checklist__deployment=deployment_id).order_by(
            "section__position", "position"
        )

    def leaves(self) -> ItemQuerySet:
        """Return the items without sub-items."""
        return self.filter(children=None)

    def outstanding(self) -> ItemQuerySet:
        """Return the open and failed items."""
        return self.filter(state__in=OUTSTANDING)

    def unsettled(self, being_proven: Iterable[int]) -> ItemQuerySet:
        """Return the items that are outstanding, or that an unfinished run proves: it may still fail.

        Args:
            being_proven: the primary keys of the items that unfinished runs prove.
        """
        return self.filter(Q(state__in=OUTSTANDING) | Q(pk__in=being_proven))

    def outdated(self) -> ItemQuerySet:
        """Return the items that are done but whose newest time-limited proof has expired.

        Annotate `proven_until`, the time of expiry. Items completed by hand after that time are not included.
        """
        newest = (
            Proof.objects.filter(item=OuterRef("pk"), outcome=ProofOutcome.PASS, valid_until__isnull=False)
            .order_by("-pk")
            .values("valid_until")[:1]
        )
        ticked = Completion.objects.filter(
            item=OuterRef("pk"), undone_at=None, at__gt=OuterRef("proven_until")
        )
        proven = {"proven_until": Subquery(newest)}
        over = {"proven_until__lt": Now()}
        return (
            self.leaves()
            .filter(state=ItemState.DONE)
            .annotate(**proven)
            .filter(~Exists(ticked), **over)
            .select_related("section__checklist")
            .order_by("section__position", "position")
        )

    def for_bulk(self) -> ItemQuerySet:
        """Return the open manual items that require no evidence, so that they can be completed together."""
        return self.leaves().filter(state=ItemState.OPEN, kind=ItemKind.MANUAL, evidence_required=False)

    def with_same_operation(self, item: Item) -> ItemQuerySet:
        """Return the section's other outstanding items with the same operation, parameters and role."""
        return (
            self.leaves()
            .outstanding()
            .filter(section=item.section_id, operation=item.operation, params=item.params, role=item.role)
            .exclude(pk=item.pk)
            .select_related("section__checklist__deployment__target")
        )

    def in_current_stage(self) -> ItemQuerySet:
        """Return the items in a stage that the next gate of their deployment covers."""
        current = Q(pk__in=[])
        for state, gate_key in NEXT_GATE.items():
            current |= Q(section__checklist__deployment__state=state, section__stage__in=COVERED_BY[gate_key])
        return self.filter(current)

    def outstanding_for(self, user: User) -> ItemQuerySet:
        """Return the outstanding items that a user's team roles assign to them now, ordered by due time.

        Items without a role are assigned to all team members.
        """
        seats = TeamMember.objects.filter(user=user, deployment=OuterRef("section__checklist__deployment"))
        return (
            self.leaves()
            .outstanding()
            .in_current_stage()
            .filter(Q(role="") & Exists(seats) | Exists(seats.filter(role=OuterRef("role"))))
            .select_related("section__checklist__deployment__target")
            .order_by(F("due_at").asc(nulls_last=True), "section__position", "position")
        )

    def for_pages(self) -> ItemQuerySet:
        """Annotate who completed or waived each item, when, and with which note or reason.

        An item has at most one active completion and one active waiver, so the joins add no rows.
        """
        return self.annotate(
            active_completion=FilteredRelation("completions", condition=Q(completions__undone_at=None)),
            active_waiver=FilteredRelation("waivers", condition=Q(waivers__withdrawn_at=None)),
        ).annotate(
            done_by=F("active_completion__by_name"),
            done_at=F("active_completion__at"),
            done_note=F("active_completion__note"),
            waived_by=F("active_waiver__by_name"),
            waived_at=F("active_waiver__at"),
            waiver_reason=F("active_waiver__reason"),
        )
