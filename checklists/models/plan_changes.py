"""Changes to the plan of a deployment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from checklists import hooks
from checklists.models.stage_rules import plan_stage
from checklists.models.team import Seat, TeamMember, clean_team, describe_team
from checklists.validators import clean_plan, clean_title, normalize_newlines
from checklists.window import Window
from deployctl.audit import Action, Actor
from deployctl.errors import Refusal

if TYPE_CHECKING:
    from checklists.models.deployment import Deployment


class Changes(TypedDict, total=False):
    """The fields that an edit may change; a missing one or None stays as it is."""

    title: str | None
    window_start: datetime | None
    window_end: datetime | None
    team: Iterable[Seat] | None
    rollback_plan: str | None
    notes: str | None


class Change(NamedTuple):
    """One changed field, with a phrase for people."""

    field: str
    what: str
    before: str
    after: str


def plan_digest(deployment: Deployment) -> str:
    """Return the SHA-256 of everything that an edit may change, to detect lost updates."""
    team = sorted((member.user_id, member.role) for member in deployment.team.all())
    start, end = deployment.window_start.timestamp(), deployment.window_end.timestamp()
    plan = [deployment.title, start, end, team, deployment.rollback_plan, deployment.notes]
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest()


def apply_changes(
    deployment: Deployment, by: Actor, changes: Changes, *, seen: str = "", may_withdraw: bool = True
) -> list[str]:
    """Apply changes to a deployment that the caller has locked (`deployment.locked()`).

    Args:
        seen: the `plan_digest` of the plan that the user edited; empty to skip the check.
        may_withdraw: True if `by` was warned that signatures over the changes are withdrawn.

    Returns:
        A phrase for each change.
    """
    # A real cycle: readiness queries all models of this package.
    from checklists.readiness import require_warning

    if seen and seen != plan_digest(deployment):
        raise Refusal(
            f"Somebody else changed the plan of “{deployment}” after you opened it, so your changes were not "
            "saved. See “What happened” on the deployment's page, then edit the current plan."
        )
    if deployment.is_final:
        raise Refusal(
            f"“{deployment}” is {deployment.state_phrase}, so its plan can no longer change. Nothing was "
            "changed."
        )
    done = [change for step in STEPS for change in step(deployment, changes)]
    if not done:
        return []
    covered = [change.what for change in done if change.field != "notes"]
    if covered:
        stage = plan_stage(deployment.state)
        require_warning(deployment, stage, was_warned=may_withdraw)
        hooks.record_changed.send(deployment, by, "; ".join(covered), stage)
    deployment.record(
        Action.DEPLOYMENT_EDITED,
        by,
        **{change.field: {"before": change.before, "after": change.after} for change in done},
    )
    deployment.announce()
    return [change.what for change in done]


def _edit_title(deployment: Deployment, changes: Changes) -> Iterator[Change]:
    title = changes.get("title")
    if title is None or (title := clean_title(title)) == deployment.title:
        return
    _refuse_begun(deployment, "title")
    before, deployment.title = deployment.title, title
    deployment.save(update_fields=["title"])
    yield Change("title", f"title changed from “{before}” to “{title}”", before, title)


def _edit_window(deployment: Deployment, changes: Changes) -> Iterator[Change]:
    before = deployment.window
    start, end = changes.get("window_start") or before.start, changes.get("window_end") or before.end
    if (start, end) == (before.start, before.end):
        return
    window = Window.validated(start, end)
    if window.start != before.start:
        _refuse_begun(deployment, "start of the window")
    deployment.write_window(window)
    deployment.checklist.reschedule(window)
    yield Change("window", f"window moved from {before} to {window}", str(before), str(window))


def _edit_team(deployment: Deployment, changes: Changes) -> Iterator[Change]:
    team = changes.get("team")
    if team is None:
        return
    members = list(deployment.team.select_related("user"))
    current: list[Seat] = [(member.user, member.role) for member in members]
    seats = clean_team(team, current)
    removed = [seat for seat in current if seat not in seats]
    added = [seat for seat in seats if seat not in current]
    if not removed and not added:
        return
    # Rows may be deleted: the audit entry of this edit records the former team.
    deployment.team.filter(pk__in=[m.pk for m in members if (m.user, m.role) in removed]).delete()
    TeamMember.objects.bulk_create(TeamMember(deployment=deployment, user=u, role=r) for u, r in added)
    parts = [f"{describe_team(removed)} removed"] if removed else []
    parts += [f"{describe_team(added)} added"] if added else []
    yield Change("team", f"team changed: {'; '.join(parts)}", describe_team(current), describe_team(seats))


def _edit_plan(deployment: Deployment, changes: Changes) -> Iterator[Change]:
    plan = changes.get("rollback_plan")
    if plan is None or (plan := clean_plan(plan)) == deployment.rollback_plan:
        return
    _refuse_begun(deployment, "rollback plan")
    before, deployment.rollback_plan = deployment.rollback_plan, plan
    deployment.save(update_fields=["rollback_plan"])
    yield Change("rollback_plan", "rollback plan rewritten", before, plan)


def _edit_notes(deployment: Deployment, changes: Changes) -> Iterator[Change]:
    notes = changes.get("notes")
    if notes is None or (notes := normalize_newlines(notes)) == deployment.notes:
        return
    before, deployment.notes = deployment.notes, notes
    deployment.save(update_fields=["notes"])
    yield Change("notes", "notes rewritten", before, notes)


STEPS: tuple[Callable[[Deployment, Changes], Iterator[Change]], ...] = (
    _edit_title,
    _edit_window,
    _edit_team,
    _edit_plan,
    _edit_notes,
)


def _refuse_begun(deployment: Deployment, what: str) -> None:
    """Raise Refusal if the deployment has begun: the first gate approved this part of the plan."""
    if deployment.has_begun:
        raise Refusal(
            f"“{deployment}” is {deployment.state_phrase}, so its {what} can no longer change. Nothing was "
            "changed; you can still change the end of the window, the team and the notes."
        )
