"""Questions about deployments, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.db import models
from django.db.models import Min, OuterRef, Q, QuerySet, Subquery

from checklists.models.state import FINAL, HOLDS_WINDOW, DeploymentState, StateChange
from checklists.window import Window
from deployctl.accounts.models import User
from deployctl.runs.models import Target

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment  # noqa: F401 (named in a string below)

ENDED = (
    DeploymentState.SIGNED_OFF,
    DeploymentState.CLOSED,
    DeploymentState.ROLLED_BACK,
    DeploymentState.CANCELLED,
)


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    """Deployments."""

    def visible_to(self, user: User) -> DeploymentQuerySet:
        """What a person may read: everything, while their account is active."""
        return self if user.is_active else self.none()

    def with_names(self) -> DeploymentQuerySet:
        """Together with target, template and people, for pages that show their names."""
        return self.select_related("target", "template_version__template").prefetch_related("team__user__grants")

    def unfinished(self) -> DeploymentQuerySet:
        """Everything that is neither closed, cancelled nor rolled back."""
        return self.exclude(state__in=FINAL)

    def next_first(self) -> DeploymentQuerySet:
        """Unfinished ones by window, the nearest first."""
        return self.unfinished().order_by("window_start", "pk")

    def in_the_way(self, target: Target, window: Window) -> DeploymentQuerySet:
        """Those of this target that hold a window that overlaps with this one."""
        return self.filter(
            target=target, state__in=HOLDS_WINDOW, window_start__lt=window.end, window_end__gt=window.start
        )

    def of_person(self, user: User) -> DeploymentQuerySet:
        """Those in whose team somebody is, or that they created."""
        return self.filter(Q(team__user=user) | Q(created_by=user)).distinct()

    def with_times(self) -> DeploymentQuerySet:
        """With `began_at` and `ended_at`, read from the rows of its moves; None where it has not yet."""
        began, ended = _first_move_to((DeploymentState.DEPLOYING,)), _first_move_to(ENDED)
        return cast("DeploymentQuerySet", self.annotate(began_at=began, ended_at=ended))


def _first_move_to(states: tuple[DeploymentState, ...]) -> Subquery:
    moves: QuerySet[StateChange] = StateChange.objects.filter(deployment=OuterRef("pk"), to_state__in=states)
    return Subquery(moves.order_by().values("deployment").annotate(first=Min("at")).values("first"))
