"""One execution of an operation: how it is asked for, taken, finished, cancelled and decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, cast

from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now

from deployctl.audit import Actor, actor_name, actor_user
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, Refusal
from deployctl.operations.registry import operation
from deployctl.runs import confirming, hooks, refusals, two_people
from deployctl.runs.models.lease import LEASE, WORKER, LeaseLost, NextToken
from deployctl.runs.models.run_consent import RunConsent
from deployctl.runs.models.run_states import HOLDING, RunQuerySet, RunState
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import require_operator

# What a run that has ended no longer has.
AT_REST: dict[str, Any] = {"lease_until": None, "phase": "", "progress_rate": None}


class Run(RunConsent):
    """One execution of an operation on a target, with its progress and outcome."""

    objects: ClassVar[models.Manager[Run]] = models.Manager.from_queryset(RunQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"],
                condition=models.Q(exclusive=True, state__in=HOLDING),
                name="one_exclusive_run_per_target",
            ),
            # One that waits keeps nobody out, so that what is there can still be backed up.
            models.UniqueConstraint(
                fields=["target"],
                condition=models.Q(state=RunState.WAITING),
                name="one_waiting_run_per_target",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "requested_at"]),
            models.Index(fields=["target", "-requested_at"]),
        ]

    # --- Asking ---------------------------------------------------------------------------------------

    @classmethod
    @transaction.atomic
    def request(
        cls,
        *,
        target: Target,
        kind: str,
        params: Mapping[str, object],
        by: Actor,
        authority: str = "",
        typed_name: str = "",
    ) -> Run:
        """Have an operation started on a target by the next free worker, or once a second person consented.

        The row is the request. A worker is told on commit; should that fail, the dispatcher tells it later.

        Args:
            target: where.
            kind: of the catalogue.
            params: the operation's own, as texts or values.
            by: an operator, or the command line.
            authority: what permits it: "" or "deployment:<number>".
            typed_name: the target's name as the person gave it, where something is overwritten.

        Returns:
            The run: queued, or waiting for a second person.

        Raises:
            NotAllowed: `by` is not an operator.
            InvalidInput: no such operation, parameters it cannot take, or the name not given.
            Refusal: somebody else works on the target, or production may not be changed just so.
        """
        require_operator(by)
        operation_class = operation(kind)
        operation_class.parse_params(params)
        refusals.refuse_unfit(target, operation_class, authority)
        confirming.refuse_unconfirmed(target, operation_class, typed_name)
        waits = two_people.needed(target, operation_class)
        if waits:
            params = two_people.named(target, operation_class, params)
        try:
            with transaction.atomic():
                run = cls.objects.create(
                    kind=kind,
                    target=target,
                    params=dict(params),
                    changes_target=operation_class.changes_target,
                    exclusive=operation_class.exclusive,
                    authority=authority,
                    state=RunState.WAITING if waits else RunState.QUEUED,
                    requested_by=cast("Any", actor_user(by)),
                    requested_by_name=actor_name(by),
                )
        except IntegrityError:
            others = cls.objects.filter(target=target)
            busy = (others.filter(state=RunState.WAITING) if waits else others.holding()).first()
            raise Refusal(refusals.who_is_at_it(busy, target, operation_class)) from None
        run._audit(Action.RUN_REQUESTED, by=by, data={"kind": kind, "params": dict(params)})
        run.announce()
        if not waits:
            transaction.on_commit(run.publish)
        return run

    # --- Taking and holding -----------------------------------------------------------------------------

    @transaction.atomic
    def claim(self, *, host: str, pid: int) -> bool:
        """queued → running, for one worker only.

        Args:
            host, pid: of the worker, so that a sweep can find what it left.

        Returns:
            False when somebody else has it, or it ended: then there is nothing to do.
        """
        claimed = Run.objects.filter(pk=self.pk, state=RunState.QUEUED).update(
            state=RunState.RUNNING,
            token=NextToken(),
            lease_until=Now() + LEASE,
            started_at=Now(),
            worker_host=host,
            worker_pid=pid,
        )
        if not claimed:
            return False
        self.refresh_from_db()
        self._audit(Action.RUN_STARTED, by=WORKER, data={"host": host})
        self.announce()
        return True

    @transaction.atomic
    def take_over(self) -> bool:
        """Take an abandoned run from its worker, whose later writes then match no row.

        Returns:
            False when the lease was renewed, the run ended, or another sweep was faster.
        """
        taken = Run.objects.abandoned().filter(pk=self.pk, token=self.token)
        if taken.update(token=NextToken(), lease_until=Now() + LEASE) != 1:
            return False
        self.refresh_from_db()
        return True

    def write(self, **fields: Any) -> None:
        """Write as the worker that holds the run.

        Raises:
            LeaseLost: it does not hold it any more.
        """
        if Run.objects.held(self).update(**fields) != 1:
            raise LeaseLost(str(self.pk))

    def renew(self) -> None:
        """Prolong the lease by the database's clock. Raises LeaseLost as `write` does."""
        self.write(lease_until=Now() + LEASE)

    def is_to_be_cancelled(self) -> bool:
        """Whether somebody asked to cancel. Raises LeaseLost as `write` does."""
        asked = Run.objects.held(self).values_list("cancel_requested_at", flat=True).first()
        if asked is None and not Run.objects.held(self).exists():
            raise LeaseLost(str(self.pk))
        return asked is not None

    # --- Ending -----------------------------------------------------------------------------------------

    def succeed(self, summary: str, facts: Mapping[str, Any], artefact: Any = None, **proven: Any) -> None:
        """running → succeeded; what it made and proved is recorded in the same transaction.

        Args:
            summary: one sentence.
            facts: figures for proofs.
            artefact: an `operations.base.BackupArtefact` or None.
            proven: `trust` and `database_oid`, as `operations.base.Outcome` has them.

        Raises:
            LeaseLost: the run is not ours any more; nothing was recorded.
        """
        from deployctl.runs.models.backup import Backup

        record = partial(Backup.settle, self, artefact, **proven)
        self._end(RunState.SUCCEEDED, summary, Action.RUN_SUCCEEDED, facts=dict(facts), record=record)

    def fail(self, summary: str) -> None:
        """running → failed. Raises LeaseLost as `succeed` does."""
        self._end(RunState.FAILED, summary, Action.RUN_FAILED)

    def confirm_cancelled(self, summary: str) -> None:
        """running → cancelled, its programs and sessions being gone. Raises LeaseLost as `succeed` does."""
        self._end(RunState.CANCELLED, summary, Action.RUN_CANCELLED)

    def lose(self, summary: str) -> None:
        """running → unknown where it changes the target, else interrupted. Raises as `succeed` does."""
        if self.changes_target:
            self._end(RunState.UNKNOWN, summary, Action.RUN_UNKNOWN)
        else:
            self._end(RunState.INTERRUPTED, summary, Action.RUN_INTERRUPTED)

    @transaction.atomic
    def _end(
        self,
        state: RunState,
        summary: str,
        action: Action,
        *,
        facts: dict[str, Any] | None = None,
        record: Callable[[], None] = lambda: None,
    ) -> None:
        self.write(state=state, summary=summary, facts=facts or {}, finished_at=Now(), **AT_REST)
        self.refresh_from_db()
        self.steps.end_with(state)
        hooks.run_ending.send(self)
        record()
        # The audit comes last: its chain is one lock for everybody, and handlers lock their own rows first.
        hooks.run_finished.send(self)
        self._audit(action, by=WORKER, data={"summary": summary})
        self.announce()

    # --- Stopping and deciding --------------------------------------------------------------------------

    @transaction.atomic
    def cancel(self, *, by: Actor) -> None:
        """queued → cancelled at once; a running one is asked to stop, which its worker does within 5 s.

        Raises:
            Refusal: it has ended, or is being cancelled already.
            NotAllowed: `by` is not an operator.
        """
        require_operator(by)
        who = {"cancel_requested_at": Now(), "cancel_requested_by_name": actor_name(by)}
        asked = Run.objects.filter(pk=self.pk, cancel_requested_at=None)
        waiting = asked.filter(state__in=[RunState.QUEUED, RunState.WAITING])
        if waiting.update(
            state=RunState.CANCELLED,
            finished_at=Now(),
            summary=f"Cancelled by {actor_name(by)} before it started. The target was not touched.",
            **who,
        ):
            self.refresh_from_db()
            hooks.run_finished.send(self)
            self._audit(Action.RUN_CANCELLED, by=by)
        elif asked.filter(state=RunState.RUNNING).update(**who):
            self.refresh_from_db()
            self._audit(Action.RUN_CANCEL_REQUESTED, by=by)
        else:
            self.refresh_from_db()
            raise Refusal(refusals.why_not_cancelled(self))
        self.announce()

    @transaction.atomic
    def decide(self, *, by: Actor, outcome: str, note: str) -> None:
        """unknown → succeeded or failed, as a person found the target to be.

        Args:
            by: an operator.
            outcome: "succeeded" or "failed".
            note: what was looked at and seen.

        Raises:
            InvalidInput: another outcome, or no note.
            Refusal: the run is not unknown (any more).
            NotAllowed: `by` is not an operator.
        """
        from deployctl.runs.models.decision import Decision

        require_operator(by)
        if outcome not in {RunState.SUCCEEDED, RunState.FAILED}:
            raise InvalidInput("Decide for succeeded or failed.")
        if not note.strip():
            raise InvalidInput("Say what you looked at on the target and what you saw; the record keeps it.")
        if Run.objects.filter(pk=self.pk, state=RunState.UNKNOWN).update(state=outcome) != 1:
            raise Refusal(
                f"Run {self.pk} is not unknown (any more). Reload the page to see what was decided."
            )
        self.refresh_from_db()
        Decision.objects.create(
            run=self,
            outcome=outcome,
            note=note.strip(),
            by=cast("Any", actor_user(by)),
            by_name=actor_name(by),
        )
        hooks.run_finished.send(self)
        self._audit(Action.RUN_DECIDED, by=by, data={"outcome": outcome, "note": note.strip()})
        self.announce()
