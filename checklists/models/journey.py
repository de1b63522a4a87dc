"""The way a deployment takes from planning to its end: its states and the verbs that move it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from django.db import models, transaction
from django.utils import timezone

from checklists import hooks
from checklists.models.approved import refuse_another_database
from checklists.models.item_refusals import refuse_busy_target
from checklists.models.queries import DeploymentQuerySet
from checklists.models.stage import Stage
from checklists.models.state import FINAL, HOLDING, MOVES, NOT_BEGUN, PAST, DeploymentState, StateChange
from checklists.models.turns import ROLLBACK, why_no_rollback
from checklists.rights import Rights
from checklists.texts import checked_reason
from deployctl import audit
from deployctl.audit import Action, Actor, actor_name
from deployctl.errors import Refusal
from deployctl.operations.framework.registry import operation
from deployctl.runs import preconditions
from deployctl.runs.models import Run, RunState
from deployctl.web.live import announce

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment

# The parts of the deployment's page that any change may touch.
PARTS = ("state", "progress", "timeline")


class Journey(models.Model):
    """What a deployment inherits: where it is, and how it gets on. The legal moves are in `state.MOVES`."""

    state = models.CharField(max_length=20, choices=DeploymentState.choices, default=DeploymentState.PLANNING)
    # Where a halted deployment returns to.
    state_before_halt = models.CharField(max_length=20, choices=DeploymentState.choices, blank=True)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    # It was signed off and is so no more: others may have its window by now, so it holds none.
    gave_window_up = models.BooleanField(default=False)

    class Meta:
        abstract = True

    @property
    def has_begun(self) -> bool:
        """Whether it is past the first gate and somebody pressed Begin."""
        return self.state not in {*NOT_BEGUN, DeploymentState.CANCELLED}

    @property
    def is_final(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in FINAL

    @property
    def holds_window(self) -> bool:
        """Whether no other deployment of its target may have its window; the same as `HOLDS_WINDOW`."""
        return self.state in HOLDING and not self.gave_window_up

    @property
    def channel(self) -> str:
        """Where its changes are announced to open pages."""
        return f"deployment:{self.pk}"

    @property
    def authority(self) -> str:
        """What its runs rest on."""
        return f"deployment:{self.pk}"

    @property
    def now_in(self) -> str:
        """The state as it reads in a sentence."""
        return self.get_state_display().lower()

    # --- The journey ----------------------------------------------------------------------------------

    def approve(self, by: Actor) -> None:
        """The first gate is fully signed. Called by the gate only."""
        self._move("approve", by, Action.DEPLOYMENT_APPROVED)

    def reopen(self, by: Actor, reason: str) -> None:
        """What a gate covers changed, so that its signatures no longer stand. Called by the gate only."""
        self._move("reopen", by, Action.DEPLOYMENT_REOPENED, reason=reason)

    def begin(self, by: Actor, reason: str = "") -> None:
        """Start the deployment itself. Outside its window this is recorded with the move.

        Refused while a run of it is unfinished: what the first gate approved would change after the fact; and
        where another database stands behind the target than the one that was approved.
        """
        Rights.of(by, cast("Deployment", self)).require_lead()
        if self.state == DeploymentState.APPROVED:
            # A look over the network, so before anything is locked.
            refuse_another_database(cast("Deployment", self))
            with self.changing() as current:
                # Whatever changes the record tells so at once; should anything have escaped, it ends here.
                hooks.record_changed.send(current, by, "the record is not the approved one", Stage.PRE)
        now = timezone.now()
        if not self.window_start <= now <= self.window_end:
            outside = "before the window opens" if now < self.window_start else "after the window closed"
            reason = f"{reason.strip()} (begun {outside})".strip()
        with self.changing():
            self._refuse_unfinished_runs()
            self._move("begin", by, Action.DEPLOYMENT_STARTED, reason=reason, needs="lead")

    def start_verification(self, by: Actor) -> None:
        """The work is done; now it is checked. Refused while a run of the deployment is unfinished."""
        with self.changing():
            self._refuse_unfinished_runs()
            self._move("start_verification", by, Action.DEPLOYMENT_VERIFICATION_STARTED, needs="lead")

    def sign_off(self, by: Actor) -> None:
        """The second gate is fully signed. Called by the gate only."""
        self._move("sign_off", by, Action.DEPLOYMENT_SIGNED_OFF)

    def close(self, by: Actor) -> None:
        """End the journey. Refused while promises of the first week are open."""
        # Readiness reads items, which know their deployment.
        from checklists.readiness import CLOSURE, blockers

        with self.changing() as current:
            if self.state == DeploymentState.SIGNED_OFF and (open_ones := blockers(current, CLOSURE)):
                raise Refusal(
                    f"“{self}” cannot be closed yet: {open_ones[0].sentence}"
                    f"{f' ({len(open_ones) - 1} more)' if len(open_ones) > 1 else ''} It stays signed off; "
                    "keep or waive what is open, then close it."
                )
            self._move("close", by, Action.DEPLOYMENT_CLOSED, needs="lead")

    def cancel(self, by: Actor, reason: str) -> None:
        """Give it up before it began."""
        self._move("cancel", by, Action.DEPLOYMENT_CANCELLED, reason=checked_reason(reason), needs="lead")

    def halt(self, by: Actor, reason: str) -> None:
        """Stop it: nothing new starts until it is resumed. What runs now may finish or be cancelled."""
        reason = checked_reason(reason)
        self._move("halt", by, Action.DEPLOYMENT_HALTED, reason=reason, needs="halt")

    def resume(self, by: Actor, reason: str = "") -> None:
        """Go on where it was halted."""
        self._move("resume", by, Action.DEPLOYMENT_RESUMED, reason=reason, needs="lead")

    def start_rollback(self, by: Actor, reason: str) -> None:
        """Go back: from here on the approved rollback plan is followed."""
        reason = checked_reason(reason)
        self._move("start_rollback", by, Action.DEPLOYMENT_ROLLBACK_STARTED, reason=reason, needs="lead")

    def request_rollback(self, by: Actor, params: Mapping[str, object], *, typed_name: str = "") -> Run:
        """Have the machine carry out the rollback plan.

        Args:
            params: of the operation `rollback`.
            typed_name: the target's name as the person gave it; on production the run also waits for a second
                person.

        Raises:
            NotAllowed: by somebody who does not lead, or may not operate.
            InvalidInput: parameters that the operation cannot take, or the name not given.
            Refusal: it is not being rolled back, or something else works on the target.
        """
        with self.changing() as current:
            Rights.of(by, current).require_lead()
            if reason := why_no_rollback(self.state):
                raise Refusal(f"Nothing was started. {reason}")
            waits = preconditions.needs_second_person(current.target, operation(ROLLBACK))
            refuse_busy_target("The rollback", current, waits=waits)
            return Run.request(
                target=current.target,
                kind=ROLLBACK,
                params=params,
                by=by,
                authority=self.authority,
                typed_name=typed_name,
            )

    def finish_rollback(self, by: Actor, reason: str) -> None:
        """The target is as it was before; the deployment ends here. Refused while a run is unfinished."""
        reason = checked_reason(reason)
        with self.changing():
            self._refuse_unfinished_runs()
            self._move("finish_rollback", by, Action.DEPLOYMENT_ROLLED_BACK, reason=reason, needs="lead")

    # --- How verbs work -------------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[Deployment]:
        """Hold the deployment: nobody else changes it or its items until the block has ended.

        Everything that changes a deployment takes this lock first and the audit chain's lock last, so that
        no two of them can wait for each other. This instance takes over the state it finds.
        """
        with transaction.atomic():
            rows = self._rows().select_for_update(no_key=True, of=("self",))
            current = rows.select_related("target").get(pk=self.pk)
            self.state, self.state_before_halt = current.state, current.state_before_halt
            self.gave_window_up = current.gave_window_up
            yield current

    def record(self, action: Action, by: Actor, **data: object) -> None:
        """Append an audit entry about this deployment."""
        audit.append(action, by=by, subject=self, deployment_id=self.pk, data=data)

    def announce(self, *fragments: str) -> None:
        """Tell open pages which of their parts changed; state, progress and the timeline always may have."""
        announce(self.channel, *fragments, *(f"deployment-{self.pk}-{part}" for part in PARTS))
        announce("home", "home-waiting", "home-next")

    def _rows(self) -> DeploymentQuerySet:
        return cast("DeploymentQuerySet", type(self)._default_manager.all())

    def _move(self, verb: str, by: Actor, action: Action, *, reason: str = "", needs: str = "") -> None:
        with self.changing() as current:
            rights = Rights.of(by, current)
            if needs == "lead":
                rights.require_lead()
            elif needs == "halt":
                rights.require_halt()
            before = DeploymentState(current.state)
            after = current._reaches(verb)
            halted_in = before if verb == "halt" else ""
            here = self._rows().filter(pk=self.pk, state=before)
            given_up = current.gave_window_up or before == DeploymentState.SIGNED_OFF
            moved = here.update(state=after, state_before_halt=halted_in, gave_window_up=given_up)
            if moved != 1:  # the lock makes this impossible; if it ever breaks, nothing may happen twice
                raise Refusal(f"“{self}” was changed by somebody else just now. Reload and look again.")
            self.state = current.state = after
            self.state_before_halt = current.state_before_halt = halted_in
            self.gave_window_up = current.gave_window_up = given_up
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

    def _reaches(self, verb: str) -> DeploymentState:
        """Where a verb leads from here."""
        moves, state = MOVES[verb], DeploymentState(self.state)
        if state not in moves:
            sources = " or ".join(source.label.lower() for source in moves)
            raise Refusal(
                f"“{self}” is {self.now_in}, so it cannot be {PAST[verb]}. Nothing was changed; that is "
                f"possible while it is {sources}."
            )
        if verb == "resume" and self.state_before_halt:
            return DeploymentState(self.state_before_halt)
        return moves[state]

    def _refuse_unfinished_runs(self) -> None:
        unfinished = [RunState.WAITING, RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN]
        run = Run.objects.filter(authority=self.authority, state__in=unfinished).first()
        if run is not None:
            raise Refusal(
                f"Run {run.pk} ({run.kind}) is {run.get_state_display().lower()}. “{self}” stays "
                f"{self.now_in}; wait for the run, cancel it, or decide its outcome first."
            )
