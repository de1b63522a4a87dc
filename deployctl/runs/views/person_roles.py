"""Views of a person's roles on all targets. They are here because `accounts` may not import targets."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from deployctl.accounts.current_user import current_user
from deployctl.accounts.models import User
from deployctl.accounts.policies import administrator, step_up
from deployctl.accounts.roles import Role
from deployctl.runs.forms.targets import PersonRoleForm
from deployctl.runs.models import TargetRole
from deployctl.web.http import see_other


@administrator
@step_up
@require_http_methods(["GET", "HEAD", "POST"])
def person_roles(request: HttpRequest, number: int) -> HttpResponse:
    """List a person's roles, and add one."""
    shown = get_object_or_404(User, pk=number)
    form = PersonRoleForm(request.POST or None)
    if form.is_valid():
        target, role = form.cleaned_data["target"], form.cleaned_data["role"]
        target.assign(shown, role, by=current_user(request))
        messages.success(request, f"Role added: {shown.name}, {Role(role).label} of {target.name}.")
        return see_other(request, reverse("runs:person_roles", args=[shown.pk]))
    roles = TargetRole.objects.filter(user=shown).select_related("target")
    context = {"person": shown, "form": form, "assignments": roles.order_by("target__name", "role")}
    return render(request, "runs/person_roles.html", context, status=422 if form.errors else 200)


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_role(request: HttpRequest, number: int, role: int) -> HttpResponse:
    """Remove a role from a person."""
    assignment = get_object_or_404(TargetRole.objects.select_related("target", "user"), pk=role, user=number)
    assignment.target.unassign(assignment.user, assignment.role, by=current_user(request))
    messages.success(
        request,
        f"Role removed: {assignment.user.name}, {assignment.get_role_display()} of {assignment.target.name}.",
    )
    return see_other(request, reverse("runs:person_roles", args=[number]))
