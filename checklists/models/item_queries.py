"""Questions about items, by name."""

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
    """Items."""

    def of_deployment(self, deployment_id: int) -> ItemQuerySet:
        """All promises of a deployment, in the order of its template."""
        return self.filter(section__checklist__deployment=deployment_id).order_by(
            "section__position", "position"
        )

    def leaves(self) -> ItemQuerySet:
        """Without those that follow their sub-items."""
        return self.filter(children=None)

    def outstanding(self) -> ItemQuerySet:
        """Open or failed."""
        return self.filter(state__in=OUTSTANDING)

    def unsettled(self, being_proven: Iterable[int]) -> ItemQuerySet:
        """Unkept, or about to change: a second run may take the tick of the first away.

        Args:
            being_proven: the numbers of the items that runs prove just now.
        """
        return self.filter(Q(state__in=OUTSTANDING) | Q(pk__in=being_proven))

    def outdated(self) -> ItemQuerySet:
        """Done, but the newest proof that was good for a time is so no more, with `proven_until`.

        A tick by hand after that moment counts: then a person has looked again.
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
        """Open, kept by hand, and asking for nothing of their own."""
        return self.leaves().filter(state=ItemState.OPEN, kind=ItemKind.MANUAL, evidence_required=False)

    def with_same_operation(self, item: Item) -> ItemQuerySet:
        """The other outstanding items of the section with the same operation, parameters and role."""
        return (
            self.leaves()
            .outstanding()
            .filter(section=item.section_id, operation=item.operation, params=item.params, role=item.role)
            .exclude(pk=item.pk)
            .select_related("section__checklist__deployment__target")
        )

    def in_current_stage(self) -> ItemQuerySet:
        """Those whose stage is what their deployment is on the way to now."""
        turns = Q(pk__in=[])
        for state, gate_key in NEXT_GATE.items():
            turns |= Q(section__checklist__deployment__state=state, section__stage__in=COVERED_BY[gate_key])
        return self.filter(turns)

    def outstanding_for(self, user: User) -> ItemQuerySet:
        """What a person's part in a team asks of them now: outstanding leaves, the ones due first first.

        Items without a role wait on everybody in the team; nothing waits on somebody who is in none.
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
        """With who ticked or waived each, when and in which words, in the same query.

        At most one completion and one waiver of an item stand, so that the joins multiply nothing.
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
