"""The queries of deployments, by name."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models import Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from checklists.models.deployment_state import FINAL, HOLDS_WINDOW, DeploymentState, StateChange
from checklists.models.team import TeamMember
from checklists.window import Window
from deployctl.accounts.models import User
from deployctl.runs.models import Run, RunState, Target

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment  # noqa: F401 (named in a string below)

LOST_RUNS = "lost_runs"
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

    def with_team(self) -> DeploymentQuerySet:
        """With the people of their teams."""
        return self.prefetch_related(models.Prefetch("team", TeamMember.objects.with_people()))

    def for_page(self) -> DeploymentQuerySet:
        """With everything about themselves that their page shows, and the lost runs on their target."""
        lost = Run.objects.filter(target=OuterRef("target"), state=RunState.UNKNOWN)
        found = self.select_related("target", "template_version__template").with_team()
        lost_runs = ArraySubquery(lost.order_by("pk").values(known=JSONObject(pk="pk", kind="kind")))
        return found.annotate(**{LOST_RUNS: lost_runs})

    def unfinished(self) -> DeploymentQuerySet:
        """Everything that is neither closed, cancelled nor rolled back."""
        return self.exclude(state__in=FINAL)

    def next_first(self) -> DeploymentQuerySet:
        """Unfinished ones by window, the nearest first."""
        return self.unfinished().order_by("window_start", "pk")

    def overlapping(self, target: Target, window: Window) -> DeploymentQuerySet:
        """Those of this target that hold a window that overlaps with this one."""
        overlapping = {"window_start__lt": window.end, "window_end__gt": window.start}
        return self.filter(HOLDS_WINDOW, target=target, **overlapping)

    def of_person(self, user: User) -> DeploymentQuerySet:
        """Those in whose team somebody is, or that they created."""
        return self.filter(Q(team__user=user) | Q(created_by=user)).distinct()

    def in_period(self, since: date | None, until: date | None) -> DeploymentQuerySet:
        """Those whose window opened in a period of days, in the viewer's zone; None leaves a side open."""
        found = self
        if since is not None:
            found = found.filter(window_start__date__gte=since)
        if until is not None:
            found = found.filter(window_start__date__lte=until)
        return found

    def with_times(self) -> DeploymentQuerySet:
        """With `began_at` and `ended_at`, read from the rows of its moves; None where it has not yet."""
        began, ended = _first_move_to((DeploymentState.DEPLOYING,)), _first_move_to(ENDED)
        times = {"began_at": began, "ended_at": ended}
        return self.annotate(**times)


def _first_move_to(states: tuple[DeploymentState, ...]) -> Subquery:
    moves: QuerySet[StateChange] = StateChange.objects.filter(deployment=OuterRef("pk"), to_state__in=states)
    return Subquery(moves.order_by().values("deployment").annotate(first=Min("at")).values("first"))
