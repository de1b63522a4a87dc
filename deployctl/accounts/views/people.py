"""People, for administrators: who is here, what they may do, who is shut out."""

from __future__ import annotations

import secrets

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from deployctl.accounts import invitations
from deployctl.accounts.forms import NewPersonForm, PermissionsForm, ProfileForm, ReasonForm
from deployctl.accounts.models import TotpFactor, User
from deployctl.accounts.policies import administrator, step_up
from deployctl.accounts.requests import person
from deployctl.accounts.roles import Permission
from deployctl.errors import InvalidInput, Refusal
from deployctl.web.http import see_other

PASSWORD_BYTES = 15


@administrator
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, with permissions and second factor."""
    factor = TotpFactor.objects.filter(user=OuterRef("pk"), confirmed=True)
    everybody = User.objects.prefetch_related("grants").annotate(is_enrolled=Exists(factor))
    return render(request, "accounts/people.html", {"people": everybody.order_by("-is_active", "name")})


@administrator
@step_up
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_person(request: HttpRequest) -> HttpResponse:
    """Add a person."""
    form = NewPersonForm(request.POST or None, may_invite=invitations.can_send())
    if form.is_valid():
        invite = form.cleaned_data.get("invite", False)
        password = None if invite else secrets.token_urlsafe(PASSWORD_BYTES)
        try:
            added = User.objects.create_person(
                form.cleaned_data["email"],
                form.cleaned_data["name"],
                password,
                permissions=[Permission(value) for value in form.cleaned_data["permissions"]],
                phone=form.cleaned_data["phone"],
                by=person(request),
            )
        except InvalidInput as error:
            form.add_error(None, error.sentence)
        else:
            return _welcome(request, added, password)
    return render(request, "accounts/person_new.html", {"form": form}, status=422 if form.errors else 200)


def _welcome(request: HttpRequest, added: User, password: str | None) -> HttpResponse:
    """Show the password, this once, or send the invitation."""
    if password is not None:
        return render(request, "accounts/person_added.html", {"person": added, "password": password})
    _invite(request, added)
    return see_other(request, _page(added))


@administrator
@require_http_methods(["GET", "HEAD", "POST"])
def person_detail(request: HttpRequest, number: int) -> HttpResponse:
    """One person; keeps changed facts."""
    shown = get_object_or_404(User.objects.prefetch_related("grants"), pk=number)
    form = ProfileForm.of(shown, request.POST or None)
    if form.is_valid():
        shown.edit(by=person(request), **form.cleaned_data)
        messages.success(request, "Saved.")
        return see_other(request, _page(shown))
    context = {
        "person": shown,
        "form": form,
        "permissions_form": PermissionsForm(initial={"permissions": list(shown.permissions)}),
        "reason_form": ReasonForm(),
        "factor": shown.factor,
        "sign_ins": shown.sign_ins.open(),
        "may_invite": invitations.can_send() and shown.is_active,
        "is_me": shown.pk == request.user.pk,
    }
    return render(request, "accounts/person.html", context, status=422 if form.errors else 200)


@administrator
@step_up
@require_POST
def permissions(request: HttpRequest, number: int) -> HttpResponse:
    """Give and take permissions until they are as ticked."""
    shown = get_object_or_404(User, pk=number)
    form = PermissionsForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("There is no such permission. Nothing was changed.")
    shown.hold(map(Permission, form.cleaned_data["permissions"]), by=person(request))
    messages.success(request, f"The permissions of {shown.name} are as shown.")
    return see_other(request, _page(shown))


@administrator
@step_up
@require_http_methods(["POST", "DELETE"])
def suspension(request: HttpRequest, number: int) -> HttpResponse:
    """Shut a person out (POST), or let them in again (DELETE)."""
    shown = get_object_or_404(User, pk=number)
    if request.method == "POST":
        shown.disable(by=person(request))
        messages.success(request, f"{shown.name} is disabled and signed out everywhere.")
    else:
        shown.enable(by=person(request))
        messages.success(request, f"{shown.name} may sign in again.")
    return see_other(request, _page(shown))


@administrator
@step_up
@require_POST
def invitation(request: HttpRequest, number: int) -> HttpResponse:
    """Send a link with which the person chooses a password."""
    shown = get_object_or_404(User.objects.active(), pk=number)
    _invite(request, shown)
    return see_other(request, _page(shown))


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_factor(request: HttpRequest, number: int) -> HttpResponse:
    """Take away a second factor that the person has lost."""
    shown = get_object_or_404(User, pk=number)
    if shown.pk == request.user.pk:
        raise Refusal("Replace your own second factor under My account. Nothing was changed.")
    form = ReasonForm(request.POST)
    shown.remove_factor(by=person(request), reason=form.cleaned_data["reason"] if form.is_valid() else "")
    messages.success(request, f"{shown.name} sets up a second factor again after signing in.")
    return see_other(request, _page(shown))


def _invite(request: HttpRequest, invited: User) -> None:
    try:
        invitations.send(request, invited, by=person(request))
    except Refusal as error:
        messages.error(request, error.sentence)
    else:
        messages.success(request, f"An invitation is on its way to {invited.email}.")


def _page(shown: User) -> str:
    return reverse("accounts:person", args=[shown.pk])
