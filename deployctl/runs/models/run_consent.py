"""How a run waits for a second person, and what that one may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from deployctl.audit import Actor, Machine, actor_name
from deployctl.audit.actions import Action
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations import catalogue
from deployctl.runs import confirming, hooks, refusals, two_people
from deployctl.runs.models.run_row import RunRow
from deployctl.runs.models.run_states import RunState
from deployctl.runs.permissions import require_operator

if TYPE_CHECKING:
    from deployctl.runs.models.run import Run

CLOCK = Machine("clock")


class RunConsent(RunRow):
    """What a run inherits: its way from `waiting` on."""

    class Meta:
        abstract = True

    @property
    def needs_second_person(self) -> bool:
        """Whether two people have to stand behind it."""
        known = catalogue().get(self.kind)
        return known is not None and two_people.needed(self.target, known)

    @property
    def consents_missing(self) -> int:
        """How many others still have to consent."""
        return self.consents_needed - self._run.consents.filter(given=True).count()

    @property
    def consents_needed(self) -> int:
        """How many others must consent, so that two people stand behind it.

        Nobody can tell who sits at a command line, so what is requested there needs two.
        """
        return two_people.PEOPLE - (1 if self.requested_by_id is not None else 0)

    @property
    def after_consent(self) -> str:
        """What comes of the next consent, as a sentence."""
        if self.consents_missing == 1:
            return "With your consent it starts."
        return "After your consent it waits for one more operator."

    @transaction.atomic
    def consent(self, *, by: Actor, typed_name: str) -> bool:
        """waiting → queued, once enough others stand behind it.

        Args:
            by: an operator who did not request it, signed in.
            typed_name: the target's name as they typed it.

        Returns:
            Whether it starts now; False where one more person is needed.

        Raises:
            NotAllowed: `by` is no operator, or no person.
            InvalidInput: another name was typed.
            Refusal: it is their own, they answered already, it waits no longer, or the target is in use.
        """
        run = self._answerable(by)
        confirming.refuse_another_name(run.target, typed_name)
        self._answer(by, given=True)
        starts = run.consents.filter(given=True).count() >= run.consents_needed
        if starts:
            try:
                with transaction.atomic():
                    self._rows.filter(pk=self.pk, state=RunState.WAITING).update(state=RunState.QUEUED)
            except IntegrityError:
                busy = self._rows.holding().filter(target=run.target).first()
                said = refusals.who_is_at_it(busy, run.target, run.operation)
                raise Refusal(f"{said} Your consent was not recorded; give it again then.") from None
            transaction.on_commit(self.publish)
        self.refresh_from_db()
        self._audit(Action.RUN_CONSENTED, by=by, data={"target": run.target.name, "starts": starts})
        self.announce()
        return starts

    @transaction.atomic
    def object(self, *, by: Actor, reason: str) -> None:
        """waiting → cancelled, because the second person says no.

        Args:
            by: as for `consent`.
            reason: why not.

        Raises:
            InvalidInput: no reason.
            NotAllowed, Refusal: as for `consent`.
        """
        if not reason.strip():
            raise InvalidInput("Say why it should not be done; who asked for it reads it.")
        self._answerable(by)
        reason = reason.strip()
        self._answer(by, given=False, reason=reason)
        self._give_up(f"{actor_name(by)} objected: {reason.rstrip('.')}. Nothing was done.")
        self._audit(Action.RUN_OBJECTED, by=by, data={"reason": reason})
        self.announce()

    @transaction.atomic
    def lapse(self) -> bool:
        """waiting → cancelled, because nobody consented in time.

        Returns:
            False when it waits no longer, or not for long enough.
        """
        if not self._rows.select_for_update().lapsed().filter(pk=self.pk).exists():
            return False
        self._give_up(
            f"Nobody consented in time, so it lapsed. Nothing was done to {self._run.target}. "
            "Request it again when a second person is there."
        )
        self._audit(Action.RUN_LAPSED, by=CLOCK)
        self.announce()
        return True

    @property
    def _run(self) -> Run:
        return cast("Run", self)

    def _answerable(self, by: Actor) -> Run:
        """The run as it is now, held until the transaction ends, for somebody who may answer."""
        require_operator(by)
        if isinstance(by, Machine):
            raise NotAllowed(
                "A second person consents on the run's page, signed in. Nothing was changed: nobody can tell "
                "who sits at a command line."
            )
        run = self._rows.select_for_update(of=("self",)).select_related("target").get(pk=self.pk)
        if run.requested_by_id == by.pk:
            raise Refusal(
                f"You requested run {self.pk} yourself, so somebody else has to answer. Nothing was changed. "
                "Should it not be done after all, cancel it."
            )
        if run.state != RunState.WAITING:
            raise Refusal(why_not_answered(run))
        if self._rows.lapsed().filter(pk=self.pk).exists():
            raise Refusal(
                f"Run {self.pk} has waited too long and lapses. Nothing was started. Request it again."
            )
        if run.consents.filter(by_id=by.pk).exists():
            raise Refusal(f"You consented to run {self.pk} already; it waits for another person.")
        return run

    def _answer(self, by: Actor, *, given: bool, reason: str = "") -> None:
        from deployctl.runs.models.consent import Consent

        Consent.objects.create(
            run=self._run, given=given, reason=reason, by=cast("Any", by), by_name=actor_name(by)
        )

    def _give_up(self, summary: str) -> None:
        self._rows.filter(pk=self.pk, state=RunState.WAITING).update(
            state=RunState.CANCELLED, finished_at=Now(), summary=summary
        )
        self.refresh_from_db()
        hooks.run_finished.send(self._run)


def why_not_answered(run: Run) -> str:
    """Why a run needs nobody's consent (any more)."""
    others = [consent.by_name for consent in run.consents.filter(given=True)]
    told = f"; {' and '.join(others)} consented" if others else ""
    return (
        f"Run {run.pk} waits for nobody (any more): it is {run.get_state_display().lower()}{told}. "
        "You changed nothing."
    )
