"""Queries of deployments."""

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
    """A query of deployments."""

    def visible_to(self, user: User) -> DeploymentQuerySet:
        """Return the deployments that a user may read: all if the account is active, otherwise none."""
        return self if user.is_active else self.none()

    def with_team(self) -> DeploymentQuerySet:
        """Prefetch the teams with their people."""
        return self.prefetch_related(models.Prefetch("team", TeamMember.objects.with_people()))

    def for_page(self) -> DeploymentQuerySet:
        """Fetch everything that the deployment's page shows, with the lost runs on its target."""
        lost = Run.objects.filter(target=OuterRef("target"), state=RunState.UNKNOWN)
        found = self.select_related("target", "template_version__template").with_team()
        lost_runs = ArraySubquery(lost.order_by("pk").values(known=JSONObject(pk="pk", kind="kind")))
        return found.annotate(**{LOST_RUNS: lost_runs})

    def unfinished(self) -> DeploymentQuerySet:
        """Return the deployments that are not closed, cancelled or rolled back."""
        return self.exclude(state__in=FINAL)

    def next_first(self) -> DeploymentQuerySet:
        """Return the unfinished deployments, ordered by the start of their window."""
        return self.unfinished().order_by("window_start", "pk")

    def overlapping(self, target: Target, window: Window) -> DeploymentQuerySet:
        """Return the target's deployments that hold a window overlapping `window`."""
        overlapping = {"window_start__lt": window.end, "window_end__gt": window.start}
        return self.filter(HOLDS_WINDOW, target=target, **overlapping)

    def of_person(self, user: User) -> DeploymentQuerySet:
        """Return the deployments that the user created or whose team includes the user."""
        return self.filter(Q(team__user=user) | Q(created_by=user)).distinct()

    def in_period(self, since: date | None, until: date | None) -> DeploymentQuerySet:
        """Return the deployments whose window starts in a period, in the current time zone.

        Args:
            since, until: the first and the last day; None means no limit.
        """
        found = self
        if since is not None:
            found = found.filter(window_start__date__gte=since)
        if until is not None:
            found = found.filter(window_start__date__lte=until)
        return found

    def with_times(self) -> DeploymentQuerySet:
        """Annotate `began_at` and `ended_at`, which are None until the deployment begins or ends."""
        began, ended = _first_change_to((DeploymentState.DEPLOYING,)), _first_change_to(ENDED)
        times = {"began_at": began, "ended_at": ended}
        return self.annotate(**times)


def _first_change_to(states: tuple[DeploymentState, ...]) -> Subquery:
    changes: QuerySet[StateChange] = StateChange.objects.filter(
        deployment=OuterRef("pk"), to_state__in=states
    )
    return Subquery(changes.order_by().values("deployment").annotate(first=Min("at")).values("first"))
