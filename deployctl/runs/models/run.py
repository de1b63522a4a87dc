"""Runs: how they are requested, consented to, executed, cancelled and decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, cast

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from deployctl import audit
from deployctl.audit import Actor, Machine, actor_name, actor_user, descriptions
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations import catalogue
from deployctl.operations.framework.base import Operation
from deployctl.operations.framework.parameters import parameters_of
from deployctl.operations.framework.registry import operation
from deployctl.runs import hooks, preconditions, queue
from deployctl.runs.models.backup import Backup
from deployctl.runs.models.consent import Consent
from deployctl.runs.models.decision import Decision
from deployctl.runs.models.lease import LEASE, WORKER, LeaseLost, NextToken
from deployctl.runs.models.run_states import CONSENT_TIMEOUT, HOLDING, UNFINISHED, RunQuerySet, RunState
from deployctl.runs.models.target import Target
from deployctl.runs.permissions import require_operator
from deployctl.web.installation import installation_id
from deployctl.web.live import announce

SCHEDULER = Machine("scheduler")
# These columns are cleared when a run ends.
CLEARED_AT_END: dict[str, Any] = {"lease_until": None, "phase": "", "progress_rate": None}


class Run(models.Model):
    """One execution of an operation on a target, with its progress and outcome."""

    kind = models.CharField(max_length=40)
    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="runs")
    params = models.JSONField(default=dict)
    # Copied from the operation's class when requested; the database constraints use them.
    changes_target = models.BooleanField()
    exclusive = models.BooleanField()
    # What permits the run: "" or "deployment:<number>" (deployments are in a higher layer).
    authority = models.CharField(max_length=60, blank=True, db_index=True)
    state = models.CharField(max_length=20, choices=RunState.choices, default=RunState.QUEUED)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="requested_runs"
    )
    requested_by_name = models.CharField(max_length=200)
    requested_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    token = models.BigIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker_host = models.CharField(max_length=200, blank=True)
    worker_pid = models.IntegerField(null=True)

    cancel_requested_at = models.DateTimeField(null=True)
    cancel_requested_by_name = models.CharField(max_length=200, blank=True)

    phase = models.CharField(max_length=200, blank=True)
    progress_done = models.BigIntegerField(null=True)
    progress_total = models.BigIntegerField(null=True)
    progress_unit = models.CharField(max_length=20, blank=True)
    # Units per second over the last 10 s, as the worker measured it.
    progress_rate = models.FloatField(null=True)

    summary = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    log_bytes = models.BigIntegerField(default=0)
    log_lines_dropped = models.BigIntegerField(default=0)

    objects: ClassVar[models.Manager[Run]] = models.Manager.from_queryset(RunQuerySet)()

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"],
                condition=models.Q(exclusive=True, state__in=HOLDING),
                name="one_exclusive_run_per_target",
            ),
            # A waiting run does not lock the target, which can still be backed up.
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

    def __str__(self) -> str:
        return f"run {self.pk}: {self.kind} on {self.target}"

    @property
    def application_name(self) -> str:
        """The PostgreSQL application name of the run's sessions and programs."""
        return f"{self.application_name_prefix}{self.token}"

    @property
    def application_name_prefix(self) -> str:
        """The prefix of the application name, common to all workers that claim the run."""
        return f"deployctl:{installation_id()}:{self.pk}:"

    @property
    def title(self) -> str:
        """The title of the operation, or its kind if this version does not know it."""
        known = catalogue().get(self.kind)
        return known.title if known else self.kind

    @property
    def operation(self) -> type[Operation]:
        """The operation class that the run executes."""
        return operation(self.kind)

    @property
    def is_unfinished(self) -> bool:
        """True if the run is waiting, queued or running."""
        return self.state in UNFINISHED

    @property
    def is_waiting(self) -> bool:
        """True if the run waits for a second person."""
        return self.state == RunState.WAITING

    @property
    def is_running(self) -> bool:
        """True if a worker executes the run."""
        return self.state == RunState.RUNNING

    @property
    def parameters(self) -> list[tuple[str, object]]:
        """The labels and values of the parameters, defaults included."""
        known = catalogue().get(self.kind)
        if known is None:
            return list(self.params.items())
        values = known.parse_params(self.params)
        return [
            (parameter.label, getattr(values, parameter.name)) for parameter in parameters_of(known.Params)
        ]

    @property
    def consent_deadline(self) -> dt.datetime:
        """The time at which the run is cancelled if nobody has consented."""
        return self.requested_at + CONSENT_TIMEOUT

    @property
    def duration_s(self) -> float | None:
        """The duration in seconds so far or in total, None before the start."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def remaining_s(self) -> float | None:
        """The estimated remaining seconds at the current rate, None if unknown."""
        if not self.progress_rate or self.progress_total is None or self.progress_done is None:
            return None
        return max(self.progress_total - self.progress_done, 0) / self.progress_rate

    @property
    def deployment_id(self) -> int | None:
        """The number of the deployment that permits the run."""
        kind, _, number = self.authority.partition(":")
        return int(number) if kind == "deployment" and number.isdecimal() else None

    @property
    def displayed_facts(self) -> list[tuple[str, str]]:
        """The facts of the run as labels and values for display."""
        return descriptions.facts(self.facts)

    # --- Requesting ---

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
        """Create a run, which starts on the next free worker or after the consent of a second person.

        The task is sent on commit; if that fails, the dispatcher sends it later.

        Args:
            target: the database to work on.
            kind: the kind of an operation in the catalogue.
            params: the parameters of the operation, as text or values.
            by: an operator, or the command line.
            authority: what permits the run: "" or "deployment:<number>".
            typed_name: the target's name as typed, if the operation overwrites something.

        Returns:
            The run: queued, or waiting for a second person.

        Raises:
            NotAllowed: `by` is not an operator.
            InvalidInput: the operation, a parameter or the typed name is invalid.
            Refusal: another run holds the target, or production needs a deployment.
        """
        require_operator(by)
        operation_class = operation(kind)
        operation_class.parse_params(params)
        preconditions.require_available(target, operation_class, authority)
        preconditions.require_confirmation(target, operation_class, typed_name)
        waits = preconditions.needs_second_person(target, operation_class)
        if waits:
            params = preconditions.pin_choice(target, operation_class, params)
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
            raise Refusal(preconditions.busy_message(busy, target, operation_class)) from None
        run._audit(Action.RUN_REQUESTED, by=by, data={"kind": kind, "params": dict(params)})
        run.announce()
        if not waits:
            transaction.on_commit(run.publish)
        return run

    # --- Second person ---

    @property
    def needs_second_person(self) -> bool:
        """True if the run needs a second person's consent."""
        known = catalogue().get(self.kind)
        return known is not None and preconditions.needs_second_person(self.target, known)

    @property
    def consents_missing(self) -> int:
        """The number of consents that are still missing."""
        return self.consents_needed - self.consents.filter(given=True).count()

    @property
    def consents_needed(self) -> int:
        """The number of consents that the run needs.

        The command line does not identify a person, so a run requested there needs two.
        """
        return preconditions.PEOPLE_REQUIRED - (1 if self.requested_by_id is not None else 0)

    @property
    def consent_effect(self) -> str:
        """A sentence about the effect of the next consent."""
        if self.consents_missing == 1:
            return "Your consent starts the run."
        return "After your consent, the run waits for one more operator."

    @transaction.atomic
    def consent(self, *, by: Actor, typed_name: str) -> bool:
        """Record a consent, and queue the run if enough people have consented (waiting → queued).

        Args:
            by: a signed-in operator who did not request the run.
            typed_name: the target's name as typed.

        Returns:
            True if the run is queued now, False if it needs one more person.

        Raises:
            NotAllowed: `by` is not an operator, or not a person.
            InvalidInput: the typed name is not the target's.
            Refusal: `by` requested the run or has answered, the run isn't waiting, or the target is busy.
        """
        run = self._lock_for_answer(by)
        preconditions.require_typed_name(run.target, typed_name)
        self._answer(by, given=True)
        starts = run.consents.filter(given=True).count() >= run.consents_needed
        if starts:
            try:
                with transaction.atomic():
                    Run.objects.filter(pk=self.pk, state=RunState.WAITING).update(state=RunState.QUEUED)
            except IntegrityError:
                busy = Run.objects.holding().filter(target=run.target).first()
                message = preconditions.busy_message(busy, run.target, run.operation)
                raise Refusal(f"{message} Your consent wasn't recorded; consent again after that.") from None
            transaction.on_commit(self.publish)
        self.refresh_from_db()
        self._audit(Action.RUN_CONSENTED, by=by, data={"target": run.target.name, "starts": starts})
        self.announce()
        return starts

    @transaction.atomic
    def object(self, *, by: Actor, reason: str) -> None:
        """Record an objection and cancel the run (waiting → cancelled).

        Args:
            by: as for `consent`.
            reason: the reason, for the requester.

        Raises:
            InvalidInput: the reason is empty.
            NotAllowed, Refusal: as for `consent`.
        """
        if not reason.strip():
            raise InvalidInput("Enter a reason for your objection. The requester reads it.")
        self._lock_for_answer(by)
        reason = reason.strip()
        self._answer(by, given=False, reason=reason)
        self._cancel_waiting(f"{actor_name(by)} objected: {reason.rstrip('.')}. Nothing was done.")
        self._audit(Action.RUN_OBJECTED, by=by, data={"reason": reason})
        self.announce()

    @transaction.atomic
    def expire_consent(self) -> bool:
        """Cancel the run if nobody has consented in time (waiting → cancelled).

        Returns:
            False if the run isn't waiting, or its time isn't over.
        """
        if not Run.objects.select_for_update().consent_expired().filter(pk=self.pk).exists():
            return False
        self._cancel_waiting(
            f"Cancelled because nobody consented in time. Nothing was done to {self.target}. "
            "Request the run again when a second person is available."
        )
        self._audit(Action.RUN_CONSENT_EXPIRED, by=SCHEDULER)
        self.announce()
        return True

    def _lock_for_answer(self, by: Actor) -> Run:
        """Lock and return the current row if `by` may consent or object to it."""
        require_operator(by)
        if isinstance(by, Machine):
            raise NotAllowed(
                "The command line can't consent, because it doesn't identify a person. Nothing was changed. "
                "Sign in, and consent on the run's page."
            )
        run = Run.objects.select_for_update(of=("self",)).select_related("target").get(pk=self.pk)
        if run.requested_by_id == by.pk:
            raise Refusal(
                f"You requested run {self.pk}, so another operator must answer. Nothing was changed. Cancel "
                "the run if it's no longer needed."
            )
        if run.state != RunState.WAITING:
            raise Refusal(preconditions.not_waiting_message(run))
        if Run.objects.consent_expired().filter(pk=self.pk).exists():
            raise Refusal(
                f"Nobody consented to run {self.pk} in time. Nothing was started. Request it again."
            )
        if run.consents.filter(by_id=by.pk).exists():
            raise Refusal(f"You've already consented to run {self.pk}. It waits for another person.")
        return run

    def _answer(self, by: Actor, *, given: bool, reason: str = "") -> None:
        Consent.objects.create(
            run=self, given=given, reason=reason, by=cast("Any", by), by_name=actor_name(by)
        )

    def _cancel_waiting(self, summary: str) -> None:
        Run.objects.filter(pk=self.pk, state=RunState.WAITING).update(
            state=RunState.CANCELLED, finished_at=Now(), summary=summary
        )
        self.refresh_from_db()
        hooks.run_finished.send(self)

    # --- Claim and lease ---

    @transaction.atomic
    def claim(self, *, host: str, pid: int) -> bool:
        """Claim the run for one worker (queued → running).

        Args:
            host, pid: the worker's, for the reaper.

        Returns:
            False if another worker has claimed it, or it has ended.
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
        """Take over an abandoned run. The new token makes later writes of its worker fail.

        Returns:
            False if the lease was renewed, the run has ended, or another reaper was faster.
        """
        abandoned = Run.objects.abandoned().filter(pk=self.pk, token=self.token)
        if abandoned.update(token=NextToken(), lease_until=Now() + LEASE) != 1:
            return False
        self.refresh_from_db()
        return True

    def write(self, **fields: Any) -> None:
        """Update columns as the worker that holds the lease.

        Raises:
            LeaseLost: the worker no longer holds it.
        """
        if Run.objects.held(self).update(**fields) != 1:
            raise LeaseLost(str(self.pk))

    def renew(self) -> None:
        """Extend the lease by the database's clock. Raises LeaseLost as `write` does."""
        self.write(lease_until=Now() + LEASE)

    def is_cancel_requested(self) -> bool:
        """Return True if cancellation was requested. Raises LeaseLost as `write` does."""
        requested_at = Run.objects.held(self).values_list("cancel_requested_at", flat=True).first()
        if requested_at is None and not Run.objects.held(self).exists():
            raise LeaseLost(str(self.pk))
        return requested_at is not None

    # --- Outcome ---

    def succeed(self, summary: str, facts: Mapping[str, Any], artefact: Any = None, **proven: Any) -> None:
        """Record success (running → succeeded), with backups and trust levels in the same transaction.

        Args:
            summary: one sentence.
            facts: figures for proofs.
            artefact: a `framework.base.BackupArtefact` or None.
            proven: `trust` and `database_oid` of a `framework.base.Outcome`.

        Raises:
            LeaseLost: this worker no longer holds the run; nothing was recorded.
        """
        record = partial(Backup.record_outcome, self, artefact, **proven)
        self._end(RunState.SUCCEEDED, summary, Action.RUN_SUCCEEDED, facts=dict(facts), record=record)

    def fail(self, summary: str) -> None:
        """Record failure (running → failed). Raises LeaseLost as `succeed` does."""
        self._end(RunState.FAILED, summary, Action.RUN_FAILED)

    def mark_cancelled(self, summary: str) -> None:
        """Record the cancellation after the programs and sessions have ended (running → cancelled).

        Raises LeaseLost as `succeed` does.
        """
        self._end(RunState.CANCELLED, summary, Action.RUN_CANCELLED)

    def mark_lost(self, summary: str) -> None:
        """Record a lost worker: running → unknown if the run changes the target, else → interrupted.

        Raises LeaseLost as `succeed` does.
        """
        if self.changes_target:
            self._end(RunState.UNKNOWN, summary, Action.RUN_WORKER_LOST)
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
        self.write(state=state, summary=summary, facts=facts or {}, finished_at=Now(), **CLEARED_AT_END)
        self.refresh_from_db()
        self.steps.end_running(state)
        hooks.run_ending.send(self)
        record()
        # Append to the audit chain last: its lock is global, and handlers lock their rows first.
        hooks.run_finished.send(self)
        self._audit(action, by=WORKER, data={"summary": summary})
        self.announce()

    # --- Cancellation and decision ---

    @transaction.atomic
    def cancel(self, *, by: Actor) -> None:
        """Cancel a waiting or queued run at once, or request a running one to stop, which takes up to 5 s.

        Raises:
            Refusal: the run has ended, or is already being cancelled.
            NotAllowed: `by` is not an operator.
        """
        require_operator(by)
        request = {"cancel_requested_at": Now(), "cancel_requested_by_name": actor_name(by)}
        cancellable = Run.objects.filter(pk=self.pk, cancel_requested_at=None)
        waiting = cancellable.filter(state__in=[RunState.QUEUED, RunState.WAITING])
        if waiting.update(
            state=RunState.CANCELLED,
            finished_at=Now(),
            summary=f"Cancelled by {actor_name(by)} before it started. The target wasn't changed.",
            **request,
        ):
            self.refresh_from_db()
            hooks.run_finished.send(self)
            self._audit(Action.RUN_CANCELLED, by=by)
        elif cancellable.filter(state=RunState.RUNNING).update(**request):
            self.refresh_from_db()
            self._audit(Action.RUN_CANCEL_REQUESTED, by=by)
        else:
            self.refresh_from_db()
            raise Refusal(preconditions.not_cancellable_message(self))
        self.announce()

    @transaction.atomic
    def decide(self, *, by: Actor, outcome: str, note: str) -> None:
        """Record a person's decision on a lost run (unknown → succeeded or failed).

        Args:
            by: an operator.
            outcome: "succeeded" or "failed".
            note: what the person checked and found on the target.

        Raises:
            InvalidInput: the outcome is invalid, or the note is empty.
            Refusal: the run isn't unknown.
            NotAllowed: `by` is not an operator.
        """
        require_operator(by)
        if outcome not in {RunState.SUCCEEDED, RunState.FAILED}:
            raise InvalidInput("Choose “succeeded” or “failed”.")
        if not note.strip():
            raise InvalidInput(
                "Describe what you checked on the target and what you found. The note is recorded."
            )
        if Run.objects.filter(pk=self.pk, state=RunState.UNKNOWN).update(state=outcome) != 1:
            raise Refusal(f"Run {self.pk} needs no decision. Reload the page to see its outcome.")
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

    # --- Notifications ---

    def announce(self) -> None:
        """Make open pages reload their data about this run."""
        parts = (
            f"run-{self.pk}{part}" for part in ("", "-steps", "-progress", "-lock-waits", "-diagnostics")
        )
        announce(f"run:{self.pk}", *parts)
        announce(f"target:{self.target.name}", f"target-{self.target_id}-runs")
        announce("home", "home-runs", "home-tasks")
        if self.deployment_id is not None:
            fragments = f"run-{self.pk}", f"deployment-{self.deployment_id}-state"
            announce(f"deployment:{self.deployment_id}", *fragments)

    def publish(self) -> bool:
        """Send the task that executes this queued run. Never raises; the dispatcher tries again later.

        Returns:
            True if the broker accepted the message.
        """
        if not queue.enqueue(self.pk):
            return False
        Run.objects.filter(pk=self.pk).update(published_at=Now())
        return True

    def _audit(self, action: Action, *, by: Actor, data: dict[str, Any] | None = None) -> None:
        audit.append(action, by=by, subject=self, deployment_id=self.deployment_id, data=data or {})
