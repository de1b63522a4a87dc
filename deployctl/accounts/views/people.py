"""People, for administrators: who is here, what they may do, who is shut out."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from deployctl.accounts import invitations, single_sign_on, sso_links, temporary_passwords
from deployctl.accounts.current_user import current_sign_in, current_user
from deployctl.accounts.email import can_send
from deployctl.accounts.forms import NewPersonForm, PeopleFilterForm, PermissionsForm, ProfileForm, ReasonForm
from deployctl.accounts.models import User
from deployctl.accounts.policies import administrator, step_up
from deployctl.accounts.roles import Permission
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, Refusal
from deployctl.text import pluralize
from deployctl.web.forms import add_to_form
from deployctl.web.http import see_other

HISTORY_SHOWN = 15


@administrator
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    """Everybody, with permissions and second factor, filtered by the query."""
    form = PeopleFilterForm(request.GET)
    found = User.objects.prefetch_related("grants").with_enrollment().order_by("-is_active", "name")
    wanted = form.cleaned_data if form.is_valid() else {}
    if wanted.get("words"):
        found = found.matching(wanted["words"])
    if wanted.get("permission"):
        found = found.filter(grants__permission=wanted["permission"])
    if wanted.get("state"):
        found = found.in_state(wanted["state"])
    context = {"form": form, "people": found if form.is_valid() else found.none()}
    return render(request, "accounts/people.html", context, status=200 if form.is_valid() else 422)


@administrator
@step_up
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_person(request: HttpRequest) -> HttpResponse:
    """Add a person."""
    form = NewPersonForm(request.POST or None, can_invite=can_send(), has_provider=single_sign_on.is_on())
    if form.is_valid():
        invite, elsewhere = form.cleaned_data.get("invite", False), form.cleaned_data.get("elsewhere", False)
        password = None if invite or elsewhere else temporary_passwords.generate()
        try:
            added = User.objects.create_person(
                form.cleaned_data["email"],
                form.cleaned_data["name"],
                password,
                permissions=[Permission(value) for value in form.cleaned_data["permissions"]],
                phone=form.cleaned_data["phone"],
                by=current_user(request),
                is_temporary=password is not None,
            )
        except InvalidInput as error:
            form.add_error(None, error.message)
        else:
            return _welcome(request, added, password, invite=invite)
    return render(request, "accounts/person_new.html", {"form": form}, status=422 if form.errors else 200)


def _welcome(request: HttpRequest, added: User, password: str | None, *, invite: bool) -> HttpResponse:
    """Show the password, this once, or send the invitation, if there shall be one."""
    if password is not None:
        return render(request, "accounts/person_added.html", {"person": added, "password": password})
    if invite:
        _invite(request, added)
    return see_other(request, _page(added))


@administrator
@require_http_methods(["GET", "HEAD", "POST"])
def person_detail(request: HttpRequest, number: int) -> HttpResponse:
    """One person; keeps changed facts."""
    shown = get_object_or_404(User.objects.prefetch_related("grants"), pk=number)
    form = ProfileForm.of(shown, request.POST or None)
    by = current_user(request)
    if form.is_valid() and add_to_form(form, lambda: shown.edit(by=by, **form.cleaned_data) or shown):
        return _changed(request, shown, "Saved.")
    context = {
        "person": shown,
        "form": form,
        "permissions_form": PermissionsForm(initial={"permissions": list(shown.permissions)}),
        "reason_form": ReasonForm(),
        "factor": shown.factor,
        "passkeys": shown.passkeys.all(),
        "links": shown.socialaccount_set.all(),
        "sign_ins": shown.sign_ins.open(),
        "can_invite": can_send() and shown.is_active,
        "invitation": invitations.standing(shown),
        "is_password_expired": bool(temporary_passwords.expiry_message(shown)),
        "may_replace_password": temporary_passwords.can_be_replaced(shown),
        "history": Entry.objects.about(shown)[:HISTORY_SHOWN],
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
    shown.hold(map(Permission, form.cleaned_data["permissions"]), by=current_user(request))
    return _changed(request, shown, f"The permissions of {shown.name} are as shown.")


@administrator
@step_up
@require_http_methods(["POST", "DELETE"])
def suspension(request: HttpRequest, number: int) -> HttpResponse:
    """Shut a person out (POST), or let them in again (DELETE)."""
    shown = get_object_or_404(User, pk=number)
    if request.method == "POST":
        shown.disable(by=current_user(request))
        return _changed(request, shown, f"{shown.name} is disabled and signed out everywhere.")
    shown.enable(by=current_user(request))
    return _changed(request, shown, f"{shown.name} may sign in again.")


@administrator
@step_up
@require_http_methods(["POST", "DELETE"])
def invitation(request: HttpRequest, number: int) -> HttpResponse:
    """Send a link with which the person chooses a password (POST), or make the one sent useless (DELETE)."""
    shown = get_object_or_404(User.objects.active(), pk=number)
    if request.method == "POST":
        _invite(request, shown)
        return see_other(request, _page(shown))
    invitations.withdraw(shown, by=current_user(request))
    return _changed(request, shown, f"The link that {shown.name} was sent leads nowhere now.")


@administrator
@step_up
@never_cache
@require_POST
def temporary_password(request: HttpRequest, number: int) -> HttpResponse:
    """Give the person another first password, and show it, this once."""
    shown = get_object_or_404(User, pk=number)
    password = temporary_passwords.replace(shown, by=current_user(request))
    context = {"person": shown, "password": password, "again": True}
    return render(request, "accounts/person_added.html", context)


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_sessions(request: HttpRequest, number: int) -> HttpResponse:
    """Sign a person out everywhere."""
    shown = get_object_or_404(User, pk=number)
    keep = current_sign_in(request).pk if shown == current_user(request) else None
    ended = shown.end_sessions(by=current_user(request), keep=keep)
    return _changed(request, shown, f"{shown.name} is signed out of {pluralize(ended, 'session')}.")


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_link(request: HttpRequest, number: int) -> HttpResponse:
    """Forget who the person is at the provider of single sign-on."""
    shown = get_object_or_404(User, pk=number)
    sso_links.forget(shown, by=current_user(request))
    return _changed(request, shown, f"The next sign-in links {shown.name} again.")


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_factor(request: HttpRequest, number: int) -> HttpResponse:
    """Take away a second factor that the person has lost."""
    shown = get_object_or_404(User, pk=number)
    if shown.pk == request.user.pk:
        raise Refusal("Replace your own second factor under My account. Nothing was changed.")
    form = ReasonForm(request.POST)
    shown.remove_factor(
        by=current_user(request), reason=form.cleaned_data["reason"] if form.is_valid() else ""
    )
    return _changed(request, shown, f"{shown.name} sets up a second factor again after signing in.")


def _changed(request: HttpRequest, shown: User, said: str) -> HttpResponse:
    """Back to the person's page, which says what was done."""
    messages.success(request, said)
    return see_other(request, _page(shown))


def _invite(request: HttpRequest, invited: User) -> None:
    try:
        invitations.send(request, invited, by=current_user(request))
    except Refusal as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"An invitation is on its way to {invited.email}.")


def _page(shown: User) -> str:
    return reverse("accounts:person", args=[shown.pk])
