"""Deployments: plan, transitions and preconditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Unpack

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import connection, models, transaction
from django.db.models import F, Func, Q, Value
from django.urls import reverse
from django.utils import timezone

from checklists import hooks
from checklists.actors import user_of
from checklists.markdown.model import Stage
from checklists.models import plan_changes
from checklists.models.checklist import Checklist
from checklists.models.deployment_queries import DeploymentQuerySet
from checklists.models.deployment_state import (
    FINAL,
    HOLDING,
    HOLDS_WINDOW,
    NOT_BEGUN,
    PAST_PARTICIPLES,
    TRANSITIONS,
    DeploymentState,
    StateChange,
)
from checklists.models.plan_changes import Changes
from checklists.models.stage_rules import ROLLBACK, rollback_blocked_reason
from checklists.models.team import Seat, TeamMember, clean_team, describe_team
from checklists.models.template import TemplateVersion, VersionState
from checklists.permissions import DeploymentPermissions, require_creator
from checklists.validators import clean_note, clean_plan, clean_reason, clean_title
from checklists.window import Window
from deployctl import audit
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import DeployctlError, Refusal
from deployctl.operations.framework.registry import operation
from deployctl.runs import connection_check as target_connection
from deployctl.runs import preconditions
from deployctl.runs.models import Run, RunState, Target
from deployctl.web.live import announce

# The fragments of the deployment's page that any change may affect.
FRAGMENTS = ("state", "progress", "timeline")
# "wind" in ASCII: no other pair of advisory locks of the product begins with this number.
WINDOWS_LOCK = 0x77696E64


class Deployment(models.Model):
    """A deployment of a target, with window, team and rollback plan. Only its methods change its state."""

    title = models.CharField(max_length=200)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="deployments")
    template_version = models.ForeignKey(
        TemplateVersion, on_delete=models.PROTECT, related_name="deployments"
    )
    state = models.CharField(max_length=20, choices=DeploymentState.choices, default=DeploymentState.PLANNING)
    # The state to which a halted deployment returns.
    state_before_halt = models.CharField(max_length=20, choices=DeploymentState.choices, blank=True)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    # True once it was signed off. After a reopening, other deployments may hold its window.
    window_released = models.BooleanField(default=False)
    rollback_plan = models.TextField()
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="created_deployments"
    )
    created_by_name = models.CharField(max_length=200)

    objects: ClassVar[models.Manager[Deployment]] = models.Manager.from_queryset(DeploymentQuerySet)()

    checklist: Checklist
    # Annotated by `for_page()`: the target's runs with an unknown outcome, by number and kind.
    lost_runs: list[dict[str, Any]]
    # Annotated by `with_times()`.
    began_at: datetime | None
    ended_at: datetime | None

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(window_end__gt=F("window_start")), name="window_ends_after_start"
            ),
            # One-element ranges replace “=”, which GiST supports only with the extension btree_gist.
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
        """Return the URL of the deployment's page."""
        return reverse("checklists:deployment", args=[self.pk])

    # --- Properties ------------------------------------------------------------------------------------

    @property
    def window(self) -> Window:
        """The time in which the deployment may change its target."""
        return Window(self.window_start, self.window_end)

    @cached_property
    def window_conflicts(self) -> list[Deployment]:
        """The deployments that hold the window of this one, which was signed off and reopened.

        The page only shows a warning: runs on a target are serialized anyway.
        """
        if self.holds_window or self.state not in HOLDING:
            return []
        return list(Deployment.objects.overlapping(self.target, self.window))

    @property
    def duration(self) -> timedelta | None:
        """The time from its beginning to its sign-off or rollback; needs `with_times()`."""
        return self.ended_at - self.began_at if self.began_at and self.ended_at else None

    @property
    def has_begun(self) -> bool:
        """Return True if somebody has begun the deployment after the first gate was signed."""
        return self.state not in {*NOT_BEGUN, DeploymentState.CANCELLED}

    @property
    def is_final(self) -> bool:
        """Return True if it may no longer change."""
        return self.state in FINAL

    @property
    def holds_window(self) -> bool:
        """Return True if no other deployment of the target may overlap its window; same as `HOLDS_WINDOW`."""
        return self.state in HOLDING and not self.window_released

    @property
    def channel(self) -> str:
        """The live channel of its pages."""
        return f"deployment:{self.pk}"

    @property
    def authority(self) -> str:
        """The value of `Run.authority` for its runs."""
        return f"deployment:{self.pk}"

    @property
    def state_phrase(self) -> str:
        """The state's label for use inside a sentence."""
        return self.get_state_display().lower()

    # --- Planning --------------------------------------------------------------------------------------

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
        """Create a deployment with a checklist from a template.

        Args:
            window_start, window_end: with time zone; the window must not be over yet. Due times are relative
                to it.
            team: pairs of user and role value; a user may have several roles.
            rollback_plan: what to do if the deployment fails; the first gate approves it.

        Raises:
            NotAllowed: `by` is not an operator.
            InvalidInput: the title, plan or team is empty, the window is invalid, or a role is unknown.
            Refusal: the target is archived, the template's version is a draft, or another deployment of the
                target holds an overlapping window.
        """
        require_creator(by)
        window, seats = Window.validated(window_start, window_end), clean_team(team)
        title, rollback_plan = clean_title(title), clean_plan(rollback_plan)
        if target.archived_at:
            raise Refusal(f"Target {target} is archived. Nothing was created; choose another target.")
        if template_version.state != VersionState.PUBLISHED:
            raise Refusal(
                f"{template_version} is a draft. Nothing was created; publish it, or choose another version."
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
                notes=clean_note(notes),
                created_by=user_of(by),
                created_by_name=actor_name(by),
            )
            deployment.write_window(window)
            deployment.team.bulk_create(TeamMember(deployment=deployment, user=u, role=r) for u, r in seats)
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
                team=describe_team(seats),
            )
            announce("home", "home-next", "home-tasks")
        return deployment

    def edit(
        self, by: Actor, *, seen: str = "", may_withdraw: bool = True, **changes: Unpack[Changes]
    ) -> list[str]:
        """Change title, window, team, rollback plan or notes; a change of signed content reopens its gate.

        Args:
            seen: the `plan_digest` of the plan that the user edited, against lost updates; empty to skip the
                check.
            may_withdraw: True if `by` was warned that signatures over the changes are withdrawn.
            changes: any of `title`, `window_start`, `window_end`, `team`, `rollback_plan`, `notes`, as in
                `create`.

        Returns:
            The changes as phrases; empty if nothing changed.

        Raises:
            NotAllowed: `by` may not lead the deployment.
            InvalidInput: as in `create`.
            Refusal: it is final; it has begun, and title, start or plan would change; the new window overlaps
                with another deployment's; somebody else has changed the plan; or it is signed, and `by` was
                not warned.
        """
        with self.locked() as current:
            DeploymentPermissions.of(by, current).require_lead()
            changed = plan_changes.apply_changes(current, by, changes, seen=seen, may_withdraw=may_withdraw)
        self.refresh_from_db()
        return changed

    def write_window(self, window: Window) -> None:
        """Save with this window, unless another deployment of the target holds an overlapping one."""
        self.window_start, self.window_end = window.start, window.end
        self._require_free_window()
        self.save(update_fields=None if self.pk is None else ["window_start", "window_end"])

    # --- Transitions ---------------------------------------------------------------------------------

    def approve(self, by: Actor) -> None:
        """Record that the first gate is fully signed. Called by the gate only."""
        self._transition("approve", by, Action.DEPLOYMENT_APPROVED)

    def reopen(self, by: Actor, reason: str) -> None:
        """Record that covered content changed and the signatures are withdrawn. Called by the gate only."""
        self._transition("reopen", by, Action.DEPLOYMENT_REOPENED, reason=reason)

    def begin(self, by: Actor, reason: str = "") -> None:
        """Begin the deployment. If this happens outside its window, the recorded reason says so.

        Raises:
            NotAllowed: `by` may not lead the deployment.
            Refusal: one of its runs is unfinished, or the target's connection leads to another database than
                the approved one.
        """
        DeploymentPermissions.of(by, self).require_lead()
        if self.state == DeploymentState.APPROVED:
            # This uses the network, so it comes before any lock.
            self._require_approved_database()
            with self.locked() as current:
                # Each change of the record was reported when it happened; this is a second check.
                hooks.record_changed.send(current, by, "the record differs from the approved one", Stage.PRE)
        now = timezone.now()
        if not self.window_start <= now <= self.window_end:
            outside = "before the window opens" if now < self.window_start else "after the window closed"
            reason = f"{reason.strip()} (begun {outside})".strip()
        with self.locked():
            self._require_no_unfinished_runs()
            self._transition("begin", by, Action.DEPLOYMENT_STARTED, reason=reason, needs="lead")

    def start_verification(self, by: Actor) -> None:
        """Start verification. Raise Refusal while a run of the deployment is unfinished."""
        with self.locked():
            self._require_no_unfinished_runs()
            self._transition("start_verification", by, Action.DEPLOYMENT_VERIFICATION_STARTED, needs="lead")

    def sign_off(self, by: Actor) -> None:
        """Record that the second gate is fully signed. Called by the gate only."""
        self._transition("sign_off", by, Action.DEPLOYMENT_SIGNED_OFF)

    def close(self, by: Actor) -> None:
        """Close the deployment. Raise Refusal while items of the first week are outstanding."""
        # A real cycle: readiness queries all models of this package.
        from checklists.readiness import CLOSURE, blockers

        with self.locked() as current:
            if self.state == DeploymentState.SIGNED_OFF and (found := blockers(current, CLOSURE)):
                more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
                raise Refusal(f"“{self}” can't be closed and stays signed off. {found[0].sentence}{more}")
            self._transition("close", by, Action.DEPLOYMENT_CLOSED, needs="lead")

    def cancel(self, by: Actor, reason: str) -> None:
        """Cancel the deployment before it has begun."""
        self._transition("cancel", by, Action.DEPLOYMENT_CANCELLED, reason=clean_reason(reason), needs="lead")

    def halt(self, by: Actor, reason: str) -> None:
        """Halt the deployment: no new runs start until it is resumed; started ones may finish."""
        reason = clean_reason(reason)
        self._transition("halt", by, Action.DEPLOYMENT_HALTED, reason=reason, needs="halt")

    def resume(self, by: Actor, reason: str = "") -> None:
        """Return the deployment to the state in which it was halted."""
        self._transition("resume", by, Action.DEPLOYMENT_RESUMED, reason=reason, needs="lead")

    def start_rollback(self, by: Actor, reason: str) -> None:
        """Start the rollback, following the approved rollback plan."""
        reason = clean_reason(reason)
        self._transition(
            "start_rollback", by, Action.DEPLOYMENT_ROLLBACK_STARTED, reason=reason, needs="lead"
        )

    def request_rollback(self, by: Actor, params: Mapping[str, object], *, typed_name: str = "") -> Run:
        """Request a run of the operation `rollback`.

        Args:
            params: parameters of the operation `rollback`.
            typed_name: the target's name as typed by the user; on production the run also waits for a second
                person's consent.

        Raises:
            NotAllowed: `by` may not lead the deployment, or is not an operator.
            InvalidInput: the parameters are invalid, or the typed name is wrong.
            Refusal: the deployment is not being rolled back, or another run holds the target.
        """
        with self.locked() as current:
            DeploymentPermissions.of(by, current).require_lead()
            if reason := rollback_blocked_reason(self.state):
                raise Refusal(f"Nothing was started. {reason}")
            needs_consent = preconditions.needs_second_person(current.target, operation(ROLLBACK))
            current.require_free_target("The rollback", needs_consent=needs_consent)
            return Run.request(
                target=current.target,
                kind=ROLLBACK,
                params=params,
                by=by,
                authority=self.authority,
                typed_name=typed_name,
            )

    def finish_rollback(self, by: Actor, reason: str) -> None:
        """Record that the rollback is complete. Raise Refusal while a run is unfinished."""
        reason = clean_reason(reason)
        with self.locked():
            self._require_no_unfinished_runs()
            self._transition(
                "finish_rollback", by, Action.DEPLOYMENT_ROLLED_BACK, reason=reason, needs="lead"
            )

    # --- Locking, audit and the one place that changes `state` -----------------------------------------

    @contextmanager
    def locked(self) -> Iterator[Deployment]:
        """Lock the deployment and its items against other changes within the block.

        Everything that changes a deployment takes this lock first and the audit chain's lock last, to avoid
        deadlocks. This instance's state is refreshed from the locked row.
        """
        with transaction.atomic():
            rows = Deployment.objects.select_for_update(no_key=True, of=("self",))
            current = rows.select_related("target").get(pk=self.pk)
            self.state, self.state_before_halt = current.state, current.state_before_halt
            self.window_released = current.window_released
            yield current

    def record(self, action: Action, by: Actor, **data: object) -> None:
        """Append an audit entry about this deployment."""
        audit.append(action, by=by, subject=self, deployment_id=self.pk, data=data)

    def announce(self, *fragments: str) -> None:
        """Announce changed fragments to open pages, besides state, progress and timeline."""
        announce(self.channel, *fragments, *(f"deployment-{self.pk}-{name}" for name in FRAGMENTS))
        announce("home", "home-tasks", "home-next")

    def _transition(self, verb: str, by: Actor, action: Action, *, reason: str = "", needs: str = "") -> None:
        with self.locked() as current:
            permissions = DeploymentPermissions.of(by, current)
            if needs == "lead":
                permissions.require_lead()
            elif needs == "halt":
                permissions.require_halt()
            before = DeploymentState(current.state)
            after = current._next_state(verb)
            halted_in = before if verb == "halt" else ""
            row = Deployment.objects.filter(pk=self.pk, state=before)
            window_released = current.window_released or before == DeploymentState.SIGNED_OFF
            updated = row.update(state=after, state_before_halt=halted_in, window_released=window_released)
            if updated != 1:  # the lock should prevent this
                raise Refusal(
                    f"Somebody else has just changed “{self}”, so your change wasn't made. Reload the page "
                    "and try again."
                )
            self.state = current.state = after
            self.state_before_halt = current.state_before_halt = halted_in
            self.window_released = current.window_released = window_released
            StateChange.objects.create(
                deployment=current,
                from_state=before,
                to_state=after,
                by_name=actor_name(by),
                reason=reason.strip(),
            )
            hooks.state_changed.send(current, by, before.value, after.value)
            self.record(action, by, before=before.value, after=after.value, reason=reason.strip())
            self.announce()

    def _next_state(self, verb: str) -> DeploymentState:
        """Return the state to which a transition leads from the current one."""
        transitions, state = TRANSITIONS[verb], DeploymentState(self.state)
        if state not in transitions:
            sources = " or ".join(source.label.lower() for source in transitions)
            raise Refusal(
                f"“{self}” is {self.state_phrase}, so it can't be {PAST_PARTICIPLES[verb]}. Nothing was "
                f"changed; this is possible only while it is {sources}."
            )
        if verb == "resume" and self.state_before_halt:
            return DeploymentState(self.state_before_halt)
        return transitions[state]

    # --- Preconditions ---------------------------------------------------------------------------------

    def require_free_target(self, what: str, *, needs_consent: bool) -> None:
        """Raise Refusal if another run holds the target, for an exclusive operation.

        The check precedes the insert because an ending run keeps its entry in the database's constraint while
        it waits for this deployment's lock; an insert at that moment would deadlock with it.

        Args:
            what: the operation to be started, as the subject of a sentence.
            needs_consent: True if the new run needs a second person's consent; then it conflicts only with
                another run that waits for consent.
        """
        runs = Run.objects.filter(target=self.target)
        busy = (runs.filter(state=RunState.WAITING) if needs_consent else runs.holding()).first()
        if busy is not None:
            raise Refusal(
                f"{what} was not started: run {busy.pk} ({busy.kind}) of {busy.requested_by_name} on "
                f"{self.target} is {busy.get_state_display().lower()}. Wait for the run to end, cancel it, "
                "or decide its outcome on its page."
            )

    def _require_free_window(self) -> None:
        """Lock the target's windows until the transaction ends, and raise Refusal if this one overlaps.

        The check precedes the insert because the exclusion constraint rejects a new deployment only after its
        number was assigned, and auditors ask about missing numbers.
        """
        if not self.holds_window:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashint8(%s))", [WINDOWS_LOCK, self.target_id])
        others = Deployment.objects.overlapping(self.target, self.window)
        if other := others.exclude(pk=self.pk).first():
            raise Refusal(
                f"The window overlaps with that of “{other}” on {self.target} ({other.window}). Nothing was "
                f"changed; choose another window, or move or cancel “{other}”."
            )

    def _require_approved_database(self) -> None:
        """Raise Refusal if the target's connection doesn't lead to the approved database."""
        target = self.target
        if target.database_oid is None:  # the deployment itself will create the database
            return
        try:
            facts = target_connection.check(target)
        except DeployctlError as error:
            raise Refusal(
                f"{target} couldn't be reached to check that it is still the approved database, so “{self}” "
                f"stays {self.state_phrase}. {error.message}"
            ) from error
        if facts.identity_differs:
            raise Refusal(
                f"The connection of {target} leads to another database than the approved one, so “{self}” "
                f"stays {self.state_phrase}. Find out why; if the new database is the right one, update the "
                "target, which reopens the first gate."
            )

    def _require_no_unfinished_runs(self) -> None:
        unfinished = [RunState.WAITING, RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN]
        run = Run.objects.filter(authority=self.authority, state__in=unfinished).first()
        if run is not None:
            raise Refusal(
                f"Run {run.pk} ({run.kind}) is {run.get_state_display().lower()}. “{self}” stays "
                f"{self.state_phrase}; wait for the run, cancel it, or decide its outcome first."
            )
