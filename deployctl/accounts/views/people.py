"""Pages for administrators to manage people."""

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
    """List people, filtered by the query."""
    form = PeopleFilterForm(request.GET)
    found = User.objects.prefetch_related("grants").with_enrollment().order_by("-is_active", "name")
    filters = form.cleaned_data if form.is_valid() else {}
    if filters.get("words"):
        found = found.matching(filters["words"])
    if filters.get("permission"):
        found = found.filter(grants__permission=filters["permission"])
    if filters.get("state"):
        found = found.in_state(filters["state"])
    context = {"form": form, "people": found if form.is_valid() else found.none()}
    return render(request, "accounts/people.html", context, status=200 if form.is_valid() else 422)


@administrator
@step_up
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_person(request: HttpRequest) -> HttpResponse:
    """Add a person."""
    form = NewPersonForm(
        request.POST or None, can_invite=can_send(), has_provider=single_sign_on.is_configured()
    )
    if form.is_valid():
        invite = form.cleaned_data.get("invite", False)
        needs_password = not invite and not form.cleaned_data.get("uses_single_sign_on", False)
        password = temporary_passwords.generate() if needs_password else None
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
            return _person_added(request, added, password, invite=invite)
    return render(request, "accounts/person_new.html", {"form": form}, status=422 if form.errors else 200)


def _person_added(request: HttpRequest, added: User, password: str | None, *, invite: bool) -> HttpResponse:
    """Show the temporary password, or send the invitation and redirect to the person's page."""
    if password is not None:
        return render(request, "accounts/person_added.html", {"person": added, "password": password})
    if invite:
        _invite(request, added)
    return see_other(request, _person_url(added))


@administrator
@require_http_methods(["GET", "HEAD", "POST"])
def person_detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show a person, or save their profile."""
    person = get_object_or_404(User.objects.prefetch_related("grants"), pk=number)
    form = ProfileForm.for_user(person, request.POST or None)
    by = current_user(request)
    if form.is_valid() and add_to_form(form, lambda: person.edit(by=by, **form.cleaned_data) or person):
        return _redirect_with_message(request, person, "Saved.")
    context = {
        "person": person,
        "form": form,
        "permissions_form": PermissionsForm(initial={"permissions": list(person.permissions)}),
        "reason_form": ReasonForm(),
        "factor": person.totp_factor,
        "passkeys": person.passkeys.all(),
        "sso_links": person.socialaccount_set.all(),
        "sign_ins": person.sign_ins.open(),
        "can_invite": can_send() and person.is_active,
        "invitation": invitations.pending(person),
        "is_password_expired": bool(temporary_passwords.expiry_message(person)),
        "may_replace_password": temporary_passwords.can_be_replaced(person),
        "history": Entry.objects.about(person)[:HISTORY_SHOWN],
        "is_me": person.pk == request.user.pk,
    }
    return render(request, "accounts/person.html", context, status=422 if form.errors else 200)


@administrator
@step_up
@require_POST
def permissions(request: HttpRequest, number: int) -> HttpResponse:
    """Set a person's permissions."""
    person = get_object_or_404(User, pk=number)
    form = PermissionsForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("This permission doesn't exist. Nothing was changed.")
    person.set_permissions(map(Permission, form.cleaned_data["permissions"]), by=current_user(request))
    return _redirect_with_message(request, person, f"The permissions of {person.name} were saved.")


@administrator
@step_up
@require_http_methods(["POST", "DELETE"])
def suspension(request: HttpRequest, number: int) -> HttpResponse:
    """Disable (POST) or re-enable (DELETE) an account."""
    person = get_object_or_404(User, pk=number)
    if request.method == "POST":
        person.disable(by=current_user(request))
        return _redirect_with_message(
            request, person, f"The account of {person.name} is disabled and signed out everywhere."
        )
    person.enable(by=current_user(request))
    return _redirect_with_message(request, person, f"The account of {person.name} is enabled again.")


@administrator
@step_up
@require_http_methods(["POST", "DELETE"])
def invitation(request: HttpRequest, number: int) -> HttpResponse:
    """Send (POST) or revoke (DELETE) an invitation."""
    person = get_object_or_404(User.objects.active(), pk=number)
    if request.method == "POST":
        _invite(request, person)
        return see_other(request, _person_url(person))
    invitations.revoke(person, by=current_user(request))
    return _redirect_with_message(
        request, person, f"The invitation of {person.name} was revoked. Its link no longer works."
    )


@administrator
@step_up
@never_cache
@require_POST
def temporary_password(request: HttpRequest, number: int) -> HttpResponse:
    """Set a new temporary password and show it once."""
    person = get_object_or_404(User, pk=number)
    password = temporary_passwords.replace(person, by=current_user(request))
    context = {"person": person, "password": password, "is_replacement": True}
    return render(request, "accounts/person_added.html", context)


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_sessions(request: HttpRequest, number: int) -> HttpResponse:
    """End a person's sessions."""
    person = get_object_or_404(User, pk=number)
    keep = current_sign_in(request).pk if person == current_user(request) else None
    ended = person.end_sessions(by=current_user(request), keep=keep)
    return _redirect_with_message(
        request, person, f"{person.name} was signed out of {pluralize(ended, 'session')}."
    )


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_sso_link(request: HttpRequest, number: int) -> HttpResponse:
    """Unlink a person from single sign-on."""
    person = get_object_or_404(User, pk=number)
    sso_links.unlink(person, by=current_user(request))
    return _redirect_with_message(
        request,
        person,
        f"{person.name} is unlinked from single sign-on. The next sign-in links the account again.",
    )


@administrator
@step_up
@require_http_methods(["DELETE"])
def person_factor(request: HttpRequest, number: int) -> HttpResponse:
    """Remove a person's second factors."""
    person = get_object_or_404(User, pk=number)
    if person.pk == request.user.pk:
        raise Refusal("You can't remove your own second factor here. Replace it under My account.")
    form = ReasonForm(request.POST)
    person.remove_second_factor(
        by=current_user(request), reason=form.cleaned_data["reason"] if form.is_valid() else ""
    )
    return _redirect_with_message(
        request, person, f"The second factor of {person.name} was removed. They must set up a new one."
    )


def _redirect_with_message(request: HttpRequest, person: User, message: str) -> HttpResponse:
    messages.success(request, message)
    return see_other(request, _person_url(person))


def _invite(request: HttpRequest, invited: User) -> None:
    try:
        invitations.send(request, invited, by=current_user(request))
    except Refusal as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"An invitation was sent to {invited.email}.")


def _person_url(person: User) -> str:
    return reverse("accounts:person", args=[person.pk])
