"""Views of a target's retention policy, with a preview of the backups to be deleted."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import administrator, member
from deployctl.accounts.roles import Permission
from deployctl.operations.backup.retention import Policy
from deployctl.runs.forms.backups import RetentionForm
from deployctl.runs.models import Backup, Retention, Target
from deployctl.runs.permissions import may_operate
from deployctl.runs.views.targets import get_target
from deployctl.web.http import see_other


@member
@require_GET
def retention(request: HttpRequest, name: str) -> HttpResponse:
    """Show the policy, and its decision on every backup."""
    target = get_target(request, name)
    return _page(request, target, RetentionForm.of(Retention.policy_of(target)))


@administrator
@require_POST
def retention_policy(request: HttpRequest, name: str) -> HttpResponse:
    """Set the policy; with `preview`, only show the backups that it would delete."""
    target = get_target(request, name)
    form = RetentionForm(request.POST)
    if not form.is_valid():
        return _page(request, target, form, status=422)
    policy = Policy(**form.cleaned_data)
    if "preview" in request.POST:
        return _page(request, target, form, proposed=policy)
    Retention.set(target, policy, by=current_user(request))
    messages.success(request, f"Retention policy saved. Current policy: {policy}.")
    return see_other(request, reverse("runs:retention", args=[target.name]))


def _page(
    request: HttpRequest,
    target: Target,
    form: RetentionForm,
    *,
    proposed: Policy | None = None,
    status: int = 200,
) -> HttpResponse:
    user = current_user(request)
    decisions = Retention.preview(target, proposed)
    expiring = [decision for decision in decisions if decision.is_deleted]
    context = {
        "target": target,
        "policy": proposed or Retention.policy_of(target),
        "is_proposed": proposed is not None,
        "form": form,
        "decisions": decisions,
        "expiring": expiring,
        "freed_bytes": sum(decision.backup.size_bytes for decision in expiring),
        "has_physical": Backup.objects.physical().filter(target=target).exists(),
        "may_administer": user.may(Permission.ADMINISTRATOR) and target.archived_at is None,
        "may_start": may_operate(user) and target.archived_at is None and proposed is None,
    }
    return render(request, "runs/retention.html", context, status=status)
