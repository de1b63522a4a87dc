"""Views that add, edit and archive targets, and manage their people and secrets."""

from __future__ import annotations

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import administrator
from deployctl.runs.forms.targets import (
    NewTargetForm,
    PhysicalEngineForm,
    RoleForm,
    SecretForm,
    StoredSecretForm,
    TargetForm,
)
from deployctl.runs.models import PhysicalEngine, StoredSecret, Target
from deployctl.runs.views.targets import get_target
from deployctl.web.forms import add_to_form
from deployctl.web.http import see_other


@administrator
@require_http_methods(["GET", "HEAD", "POST"])
def target_new(request: HttpRequest) -> HttpResponse:
    """Add a target."""
    form = NewTargetForm(request.POST or None)
    if form.is_valid():
        by = current_user(request)
        target = add_to_form(form, lambda: Target.add(**form.cleaned_data, by=by))
        if target is not None:
            messages.success(request, f"Target {target} added. Check its connection next.")
            return see_other(request, reverse("runs:target", args=[target.name]))
    return render(request, "runs/target_new.html", {"form": form}, status=422 if form.errors else 200)


@administrator
@require_http_methods(["GET", "HEAD", "POST"])
def target_settings(request: HttpRequest, name: str) -> HttpResponse:
    """Edit a target, and show its people and secrets."""
    target = get_target(request, name)
    form = TargetForm.of(target, request.POST or None)
    if form.is_valid():
        by = current_user(request)
        if add_to_form(form, lambda: target.edit(**form.cleaned_data, by=by) or target):
            messages.success(request, "Settings saved.")
            return see_other(request, reverse("runs:target", args=[target.name]))
    return _settings(request, target, form=form)


@administrator
@require_POST
def target_roles(request: HttpRequest, name: str) -> HttpResponse:
    """Give a user a role for the target."""
    target = get_target(request, name)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _settings(request, target, role_form=form)
    target.assign(form.cleaned_data["user"], form.cleaned_data["role"], by=current_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_http_methods(["DELETE"])
def target_role(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Remove a role from a user."""
    target = get_target(request, name)
    assignment = get_object_or_404(target.role_assignments, pk=number)
    target.unassign(assignment.user, assignment.role, by=current_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_POST
def target_secrets(request: HttpRequest, name: str) -> HttpResponse:
    """Set the reference of a secret."""
    target = get_target(request, name)
    form = SecretForm(request.POST)
    if form.is_valid():
        by = current_user(request)
        data = form.cleaned_data
        if add_to_form(
            form, lambda: target.set_secret_reference(data["name"], data["reference"], by=by) or target
        ):
            return see_other(request, reverse("runs:target_settings", args=[target.name]))
    return _settings(request, target, secret_form=form)


@administrator
@require_http_methods(["DELETE"])
def target_secret(request: HttpRequest, name: str, secret: str) -> HttpResponse:
    """Remove the reference of a secret."""
    target = get_target(request, name)
    StoredSecret.remove(target, get_object_or_404(target.secrets, name=secret).name, by=current_user(request))
    return see_other(request, reverse("runs:target_settings", args=[target.name]))


@administrator
@require_POST
def target_stored_secrets(request: HttpRequest, name: str) -> HttpResponse:
    """Store a secret value encrypted, and set the target's reference to it."""
    target = get_target(request, name)
    form = StoredSecretForm(request.POST)
    if form.is_valid():
        by, data = current_user(request), form.cleaned_data
        secret = add_to_form(form, lambda: StoredSecret.store(target, data["name"], data["value"], by=by))
        if secret is not None:
            messages.success(request, f"Secret stored as {secret.reference}. Its value is never shown again.")
            return see_other(request, reverse("runs:target_settings", args=[target.name]))
    return _settings(request, target, stored_secret_form=form)


@administrator
@require_http_methods(["POST", "DELETE"])
def target_physical_engine(request: HttpRequest, name: str) -> HttpResponse:
    """Set or remove the pgBackRest stanza of the target."""
    target, by = get_target(request, name), current_user(request)
    if request.method == "DELETE":
        PhysicalEngine.remove(target, by=by)
        return see_other(request, reverse("runs:target_settings", args=[target.name]))
    form = PhysicalEngineForm(request.POST)
    if form.is_valid() and add_to_form(form, lambda: PhysicalEngine.set(target, **form.cleaned_data, by=by)):
        messages.success(request, "Physical engine saved. Run “Check physical backups” next.")
        return see_other(request, reverse("runs:target", args=[target.name]))
    return _settings(request, target, engine_form=form)


@administrator
@require_POST
def target_archival(request: HttpRequest, name: str) -> HttpResponse:
    """Archive a target."""
    target = get_target(request, name)
    target.archive(by=current_user(request))
    messages.success(request, f"Target {target} archived. Its history stays available.")
    return see_other(request, reverse("runs:targets"))


def _settings(request: HttpRequest, target: Target, **forms: Form) -> HttpResponse:
    engine = PhysicalEngine.objects.filter(target=target).first()
    context = {
        "target": target,
        "engine": engine,
        "engine_form": forms.get("engine_form") or PhysicalEngineForm.of(engine),
        "form": forms.get("form") or TargetForm.of(target, None),
        "role_form": forms.get("role_form") or RoleForm(),
        "secret_form": forms.get("secret_form") or SecretForm(),
        "stored_secret_form": forms.get("stored_secret_form") or StoredSecretForm(),
        "people": target.role_assignments,
        "secrets": target.secrets.all(),
    }
    has_errors = any(form.errors for form in forms.values())
    return render(request, "runs/target_settings.html", context, status=422 if has_errors else 200)
