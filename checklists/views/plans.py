"""Create deployments and edit their plans."""

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
    TeamFormSet,
    current_versions,
    default_rollback_plan,
    default_window,
    initial_plan,
    team_formset,
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

DEFAULT_TITLE_SUFFIX = " to production"


@require_http_methods(["GET", "HEAD", "POST"])
@operator
def deployment_new(request: HttpRequest) -> HttpResponse:
    """Create a deployment; `?target=name` selects the target whose people form the default team."""
    by = current_user(request)
    if request.method != "POST":
        target = _selected_target(request)
        form = DeploymentForm(initial=_initial(request, target), user=by)
        team = team_formset(default_team(target) if target else [])
        return _render_form(request, "checklists/deployment_new.html", form, team)
    form, team, status = DeploymentForm(request.POST, user=by), team_formset([], request.POST), 422
    if form.is_valid() and team.is_valid():
        try:
            deployment = Deployment.create(**form.cleaned_data, team=team.members, by=by)
        except DeployctlError as error:
            form.add_error(None, error.message)
            status = status_of(error)
        else:
            messages.success(request, f"“{deployment}” was created. Its checklist is ready.")
            for blocker in readiness.people_blockers(deployment):
                messages.warning(request, blocker.sentence)
            return see_other(request, deployment.get_absolute_url())
    return _render_form(request, "checklists/deployment_new.html", form, team, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@enrolled
def deployment_edit(request: HttpRequest, number: int) -> HttpResponse:
    """Edit a plan; fields that the user did not change keep their exact values."""
    by = current_user(request)
    deployment = get_object_or_404(Deployment.objects.visible_to(by).for_page(), pk=number)
    DeploymentPermissions.of(by, deployment).require_lead()
    members = [(member.user, member.role) for member in deployment.team.all()]
    form = PlanForm(request.POST or None, initial=initial_plan(deployment))
    team, status = team_formset(members, request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid() and team.is_valid():
            try:
                changed = deployment.edit(
                    by,
                    seen=posted(request, "plan_digest"),
                    may_withdraw=signature_warnings.is_warned(request),
                    **_changes(form, team),
                )
            except DeployctlError as error:
                form.add_error(None, error.message)
                status = status_of(error)
            else:
                message = f"Plan changed: {'; '.join(changed)}." if changed else "Nothing was changed."
                messages.success(request, message)
                return see_other(request, deployment.get_absolute_url())
    is_signed = plan_stage(deployment.state) in readiness.signed_stages(deployment)
    context = {"deployment": deployment, "plan_digest": plan_digest(deployment), "is_signed": is_signed}
    return _render_form(request, "checklists/deployment_edit.html", form, team, status=status, **context)


def _changes(form: PlanForm, team: TeamFormSet) -> Changes:
    changes = cast("Changes", {name: form.cleaned_data[name] for name in form.changed_data})
    changes["team"] = team.members
    return changes


def _selected_target(request: HttpRequest) -> Target | None:
    targets = Target.objects.visible_to(current_user(request)).current()
    return targets.filter(name=request.GET.get("target", "")).first() or targets.first()


def _initial(request: HttpRequest, target: Target | None) -> dict[str, Any]:
    start, end = default_window()
    version = current_versions().first()
    defaults: dict[str, Any] = {
        "target": target.name if target else None,
        "template_version": version.pk if version else None,
        "title": f"{target.name}{DEFAULT_TITLE_SUFFIX}" if target else "",
        "window_start": start,
        "window_end": end,
        "rollback_plan": default_rollback_plan(version),
    }
    # “Load team” submits the form by GET: keep what the user entered, but not our default title.
    entered = {name: text for name, text in request.GET.items() if text}
    if str(entered.get("title", "")).endswith(DEFAULT_TITLE_SUFFIX):
        del entered["title"]
    return defaults | entered


def _render_form(
    request: HttpRequest, page: str, form: PlanForm, team: TeamFormSet, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render(request, page, {"form": form, "team": team} | context, status=status)
