"""One journey of one target to production."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models, transaction
from django.db.models import F, Func, Q, Value
from django.urls import reverse

from checklists import hooks
from checklists.actors import user_of
from checklists.models import editing
from checklists.models.editing import Changes
from checklists.models.journey import Journey
from checklists.models.overlap import refuse_overlap
from checklists.models.queries import DeploymentQuerySet
from checklists.models.state import HOLDING, HOLDS_WINDOW, StateChange
from checklists.models.team import Seat, TeamMember, checked_team, team_in_words
from checklists.models.template import TemplateVersion, VersionState
from checklists.rights import Rights, require_creator
from checklists.texts import checked_note, checked_plan, checked_title
from checklists.window import Window
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import Refusal
from deployctl.runs.models import Target
from deployctl.web.live import announce

if TYPE_CHECKING:
    from checklists.models.checklist import Checklist


class Deployment(Journey):
    """A deployment of a target, with its window, team and rollback plan. Only its verbs move it."""

    title = models.CharField(max_length=200)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    template_version = models.ForeignKey(
        TemplateVersion, on_delete=models.PROTECT, related_name="deployments"
    )
    rollback_plan = models.TextField()
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="created_deployments"
    )
    created_by_name = models.CharField(max_length=200)

    objects: ClassVar[models.Manager[Deployment]] = models.Manager.from_queryset(DeploymentQuerySet)()

    checklist: Checklist
    # Brought along by `for_page()`: runs on the target whose outcome nobody knows, by number and kind.
    lost_runs: list[dict[str, Any]]
    # Brought along by `with_times()`.
    began_at: datetime | None
    ended_at: datetime | None

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(window_end__gt=F("window_start")), name="window_ends_after_start"
            ),
            # A range that holds one number stands for “=”, which GiST knows only with an extension.
            ExclusionConstraint(
                name="one_deployment_per_target_and_time",
                expressions=[
                    (
                        Func(F("target"), F("target"), Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (Func(F("window_start"), F("window_end"), function="tstzrange"), RangeOperators.OVERLAPS),
                ],
                condition=HOLDS_WINDOW,
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The deployment's page."""
        return reverse("checklists:deployment", args=[self.pk])

    # --- What it is -----------------------------------------------------------------------------------

    @property
    def window(self) -> Window:
        """Start and end."""
        return Window(self.window_start, self.window_end)

    @cached_property
    def others_in_window(self) -> list[Deployment]:
        """Those that hold its window on the target by now, since it gave it up and was reopened all the same.

        They keep it from nothing: what is done to a target is done one after the other anyway. But its people
        have to know.
        """
        if self.holds_window or self.state not in HOLDING:
            return []
        return list(Deployment.objects.in_the_way(self.target, self.window))

    @property
    def duration(self) -> timedelta | None:
        """How long it took, from its beginning to being signed off or rolled back; see `with_times()`."""
        return self.ended_at - self.began_at if self.began_at and self.ended_at else None

    # --- Planning -------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        *,
        target: Target,
        template_version: TemplateVersion,
        title: str,
        window_start: datetime,
        window_end: datetime,
        team: Iterable[Seat],
        rollback_plan: str,
        by: Actor,
        notes: str = "",
    ) -> Deployment:
        """Plan a deployment: its checklist is made from the template, its due times from the window.

        Args:
            window_start, window_end: with time zone; the window must not be over yet.
            team: people with the value of their role; a person may hold several.
            rollback_plan: what is done when it goes wrong; the first gate approves it.

        Raises:
            NotAllowed: by somebody who is not an operator.
            InvalidInput: an empty title, plan or team, a bad window, an unknown role.
            Refusal: the target is archived, the template's version is a draft, or another deployment of the
                target holds an overlapping window.
        """
        require_creator(by)
        window, seats = Window.checked(window_start, window_end), checked_team(team)
        title, rollback_plan = checked_title(title), checked_plan(rollback_plan)
        if target.archived_at:
            raise Refusal(f"Target {target} is archived. Nothing was created; choose one that is in use.")
        if template_version.state != VersionState.PUBLISHED:
            raise Refusal(
                f"{template_version} is a draft. Nothing was created; publish it, or choose another."
            )
        parsed = template_version.parsed()
        hooks.deployment_requested.send(template_version, parsed)
        with transaction.atomic():
            deployment = cls(
                title=title,
                target=target,
                template_version=template_version,
                window_start=window.start,
                window_end=window.end,
                rollback_plan=rollback_plan,
                notes=checked_note(notes),
                created_by=user_of(by),
                created_by_name=actor_name(by),
            )
            deployment.write_window(window)
            deployment.team.bulk_create(TeamMember(deployment=deployment, user=u, role=r) for u, r in seats)
            # A checklist knows its deployment, so that module cannot be imported above.
            from checklists.models.checklist import Checklist

            Checklist.from_template(deployment, parsed)
            StateChange.objects.create(
                deployment=deployment, to_state=deployment.state, by_name=actor_name(by)
            )
            hooks.deployment_created.send(deployment, parsed, by)
            deployment.record(
                Action.DEPLOYMENT_CREATED,
                by,
                target=target.name,
                template=str(template_version),
                window=[window.start.isoformat(), window.end.isoformat()],
                team=team_in_words(seats),
            )
            announce("home", "home-next", "home-waiting")
        return deployment

    def edit(
        self, by: Actor, *, seen: str = "", may_withdraw: bool = True, **changes: Unpack[Changes]
    ) -> list[str]:
        """Change title, window, team, rollback plan or notes; what the first gate covers reopens it.

        Args:
            seen: the `plan_digest` that the changes were made to, so that nobody overwrites what they did not
                see; empty to change whatever there is.
            may_withdraw: whether `by` knows that signatures over what changes are withdrawn.
            changes: any of `title`, `window_start`, `window_end`, `team`, `rollback_plan`, `notes`, with the
                meaning they have in `create`.

        Returns:
            What changed, as phrases; empty when everything was so already.

        Raises:
            NotAllowed: by somebody who does not lead.
            InvalidInput: as `create`.
            Refusal: it is final; or it has begun, and title, start or plan would change; or the new window
                overlaps with another deployment's; or somebody else changed the plan since it was seen; or it
                is signed, and `by` does not know.
        """
        with self.changing() as current:
            Rights.of(by, current).require_lead()
            changed = editing.edit(current, by, changes, seen=seen, may_withdraw=may_withdraw)
        self.refresh_from_db()
        return changed

    def write_window(self, window: Window) -> None:
        """Save with this window, unless another deployment of the target is in the way."""
        self.window_start, self.window_end = window.start, window.end
        refuse_overlap(self)
        self.save(update_fields=None if self.pk is None else ["window_start", "window_end"])
