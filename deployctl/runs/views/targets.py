"""Targets: the list, one of them, and looking after them."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from deployctl.accounts.models import User
from deployctl.accounts.policies import administrator, member, operator
from deployctl.accounts.roles import Permission
from deployctl.errors import DeployctlError
from deployctl.operations import catalogue
from deployctl.operations.base import Operation
from deployctl.runs import connection, refusals
from deployctl.runs.forms import NewTargetForm, RoleForm, SecretForm, TargetForm, add_to_form, form_for
from deployctl.runs.models import Backup, Run, Target
from deployctl.runs.permissions import may_operate
from deployctl.web.http import page_or_fragment, see_other, wants_fragment

RUNS_SHOWN = 10
BACKUPS_SHOWN = 5


class Offer(NamedTuple):
    """An operation as a target's page offers it: with its form, or with why it is not offered."""

    operation: type[Operation]
    form: Form
    reason_against: str


@member
@require_GET
def target_list(request: HttpRequest) -> HttpResponse:
    """Every target with its newest run and backup."""
    targets = Target.objects.visible_to(request.user).current().with_newest()
    context = {"targets": targets, "may_add": _user(request).may(Permission.ADMINISTRATOR)}
    return page_or_fragment(request, "runs/target_list.html", "runs/_targets.html", context)


@member
@require_GET
def target_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One target: what it is, whose it is, what can be done to it, what was done."""
    target = _target(request, name)
    user = _user(request)
    may_start = may_operate(user) and target.archived_at is None
    context = {
        **_recent(target),
        "people": target.people,
        "offers": _offers(target) if may_start else [],
        "may_start": may_start,
        "may_administer": user.may(Permission.ADMINISTRATOR),
    }
    return render(request, "runs/target_detail.html", context)


@member
@require_GET
def target_recent(request: HttpRequest, name: str) -> HttpResponse:
    """The part of a target's page that changes while runs go on."""
    return render(request, "runs/_target_recent.html", _recent(_target(request, name)))


@administrator
@require_http_methods(["GET", "POST"])
def target_new(request: HttpRequest) -> HttpResponse:
    """Take a database under care."""
    form = NewTargetForm(request.POST or None)
    if form.is_valid():
        by = _user(request)
        target = add_to_form(form, lambda: Target.add(**form.cleaned_data, by=by))
        if target is not None:
            messages.success(request, f"{target} was added. Check its connection next.")
            return see_other(request, reverse("runs:target", args=[target.name]))
    return render(request, "runs/target_new.html", {"form": form}, status=422 if form.errors else 200)


@administrator
@require_http_methods(["GET", "POST"])
def target_settings(request: HttpRequest, name: str) -> HttpResponse:
    """Change a target, its people and where its secrets are kept."""
    target = _target(request, name)
    form = TargetForm.of(target, request.POST or None)
    if form.is_valid():
        by = _user(request)
        if add_to_form(form, lambda: target.edit(**form.cleaned_data, by=by) or target):
            messages.success(request, "Saved.")
            return see_other(request, reverse("runs:target", args=[target.name]))
    return _settings(request, target, form=form)


@administrator
@require_POST
def target_roles(request: HttpRequest, name: str) -> HttpResponse:
    """Give a person a part for the target."""
    target = _target(request, name)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _settings(request, target, role_form=form)
    target.assign(form.cleaned_data["user"], form.cleaned_data["role"], by=_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_http_methods(["DELETE"])
def target_role(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Take a part away."""
    target = _target(request, name)
    held = get_object_or_404(target.people, pk=number)
    target.unassign(held.user, held.role, by=_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_POST
def target_secrets(request: HttpRequest, name: str) -> HttpResponse:
    """Say where a secret is kept."""
    target = _target(request, name)
    form = SecretForm(request.POST)
    if form.is_valid():
        by = _user(request)
        given = form.cleaned_data
        if add_to_form(form, lambda: target.refer(given["name"], given["reference"], by=by) or target):
            return see_other(request, reverse("runs:target_settings", args=[target.name]))
    return _settings(request, target, secret_form=form)


@administrator
@require_http_methods(["DELETE"])
def target_secret(request: HttpRequest, name: str, secret: str) -> HttpResponse:
    """Forget where a secret is kept."""
    target = _target(request, name)
    target.refer(get_object_or_404(target.secrets, name=secret).name, "", by=_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_POST
def target_archival(request: HttpRequest, name: str) -> HttpResponse:
    """Put a target away."""
    target = _target(request, name)
    target.archive(by=_user(request))
    messages.success(request, f"{target} was archived. Its history stays.")
    return see_other(request, reverse("runs:targets"))


@operator
@require_POST
def target_connection(request: HttpRequest, name: str) -> HttpResponse:
    """Look whether the database answers, now."""
    target = _target(request, name)
    context: dict[str, Any] = {"target": target}
    try:
        context["facts"] = connection.check(target)
    except DeployctlError as error:
        context["problem"] = error.sentence
    if wants_fragment(request):
        return render(request, "runs/_target_connection.html", context)
    if "problem" in context:
        messages.error(request, context["problem"])
    else:
        messages.success(request, f"Connected to PostgreSQL {context['facts'].version}.")
    return see_other(request, reverse("runs:target", args=[target.name]))


@operator
@require_POST
def target_runs(request: HttpRequest, name: str) -> HttpResponse:
    """Start an operation."""
    target = _target(request, name)
    operation = catalogue().get(request.POST.get("kind", ""))
    form = form_for(operation)(request.POST) if operation else Form(request.POST)
    # Whatever the form cannot clean, the verb refuses with a sentence that names it.
    params = form.cleaned_data if form.is_valid() else _posted_params(request)
    run = Run.request(
        target=target, kind=request.POST.get("kind", ""), params=params, by=_user(request)
    )
    return see_other(request, reverse("runs:run", args=[run.pk]))


def _posted_params(request: HttpRequest) -> dict[str, object]:
    return {name: value for name, value in request.POST.items() if name not in {"kind", "csrfmiddlewaretoken"}}


def _settings(request: HttpRequest, target: Target, **forms: Form) -> HttpResponse:
    context = {
        "target": target,
        "form": forms.get("form") or TargetForm.of(target, None),
        "role_form": forms.get("role_form") or RoleForm(),
        "secret_form": forms.get("secret_form") or SecretForm(),
        "people": target.people,
        "secrets": target.secrets.all(),
    }
    has_errors = any(form.errors for form in forms.values())
    return render(request, "runs/target_settings.html", context, status=422 if has_errors else 200)


def _recent(target: Target) -> dict[str, Any]:
    return {
        "target": target,
        "runs": target.runs.all()[:RUNS_SHOWN],
        "backups": Backup.objects.for_display().filter(target=target)[:BACKUPS_SHOWN],
    }


def _offers(target: Target) -> list[Offer]:
    return [
        Offer(
            operation,
            form_for(operation)(auto_id=f"id_{operation.kind}_%s"),
            refusals.why_not(target, operation, authority=""),
        )
        for operation in catalogue().values()
    ]


def _target(request: HttpRequest, name: str) -> Target:
    return get_object_or_404(Target.objects.visible_to(request.user), name__iexact=name)


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)
