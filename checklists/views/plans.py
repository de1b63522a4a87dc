"""Planning a deployment, and changing the plan."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from checklists import readiness, signature_warnings
from checklists.forms.deployments import (
    DeploymentForm,
    PlanForm,
    TeamRows,
    current_versions,
    default_plan,
    plan_of,
    team_form,
    usual_window,
)
from checklists.models import Deployment
from checklists.models.plan_changes import Changes, plan_digest
from checklists.models.stage_rules import plan_stage
from checklists.models.team import default_team
from checklists.permissions import DeploymentPermissions
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import enrolled, operator
from deployctl.errors import DeployctlError
from deployctl.runs.models import Target
from deployctl.web.errors import status_of
from deployctl.web.http import posted, see_other

USUAL_TITLE_END = " to production"


@require_http_methods(["GET", "HEAD", "POST"])
@operator
def deployment_new(request: HttpRequest) -> HttpResponse:
    """Plan a deployment; `?target=name` chooses whose people are suggested."""
    by = current_user(request)
    if request.method != "POST":
        target = _chosen_target(request)
        form = DeploymentForm(initial=_suggestions(request, target), user=by)
        return _form_page(
            request, "checklists/deployment_new.html", form, team_form(default_team(target) if target else [])
        )
    form, team, status = DeploymentForm(request.POST, user=by), team_form([], request.POST), 422
    if form.is_valid() and team.is_valid():
        try:
            made = Deployment.create(**form.cleaned_data, team=team.seats, by=by)
        except DeployctlError as error:
            form.add_error(None, error.message)
            status = status_of(error)
        else:
            messages.success(request, f"“{made}” is planned. Its checklist is ready.")
            for blocker in readiness.people_blockers(made):
                messages.warning(request, blocker.sentence)
            return see_other(request, made.get_absolute_url())
    return _form_page(request, "checklists/deployment_new.html", form, team, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@enrolled
def deployment_edit(request: HttpRequest, number: int) -> HttpResponse:
    """Change the plan. What was not touched stays to the second as it was."""
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by).for_page(), pk=number)
    DeploymentPermissions.of(by, deployment).require_lead()
    seats = [(member.user, member.role) for member in deployment.team.all()]
    form = PlanForm(request.POST or None, initial=plan_of(deployment))
    team, status = team_form(seats, request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid() and team.is_valid():
            try:
                changed = deployment.edit(
                    by,
                    seen=posted(request, "seen"),
                    may_withdraw=signature_warnings.is_warned(request),
                    **_changes(form, team),
                )
            except DeployctlError as error:
                form.add_error(None, error.message)
                status = status_of(error)
            else:
                said = f"Changed: {'; '.join(changed)}." if changed else "Nothing was changed."
                messages.success(request, said)
                return see_other(request, deployment.get_absolute_url())
    is_signed = plan_stage(deployment.state) in readiness.signed_stages(deployment)
    context = {"deployment": deployment, "seen": plan_digest(deployment), "is_signed": is_signed}
    return _form_page(request, "checklists/deployment_edit.html", form, team, status=status, **context)


def _changes(form: PlanForm, team: TeamRows) -> Changes:
    changes = cast("Changes", {name: form.cleaned_data[name] for name in form.changed_data})
    changes["team"] = team.seats
    return changes


def _chosen_target(request: HttpRequest) -> Target | None:
    targets = Target.objects.visible_to(current_user(request)).current()
    return targets.filter(name=request.GET.get("target", "")).first() or targets.first()


def _suggestions(request: HttpRequest, target: Target | None) -> dict[str, Any]:
    start, end = usual_window()
    version = current_versions().first()
    suggested: dict[str, Any] = {
        "target": target.name if target else None,
        "template_version": version.pk if version else None,
        "title": f"{target.name}{USUAL_TITLE_END}" if target else "",
        "window_start": start,
        "window_end": end,
        "rollback_plan": default_plan(version),
    }
    # “Use its people” sends the form by GET: what was filled in already stays, but not our own title.
    kept = {name: text for name, text in request.GET.items() if text}
    if str(kept.get("title", "")).endswith(USUAL_TITLE_END):
        del kept["title"]
    return suggested | kept


def _form_page(
    request: HttpRequest, page: str, form: PlanForm, team: TeamRows, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render(request, page, {"form": form, "team": team} | context, status=status)
