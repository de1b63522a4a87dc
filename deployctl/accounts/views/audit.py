"""The audit log. Its views live here because the chain itself, a floor below, knows no policies."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from deployctl.accounts.forms import EntryFilterForm
from deployctl.accounts.policies import approver
from deployctl.accounts.requests import person
from deployctl.audit import Action
from deployctl.audit.models import Entry, Verification
from deployctl.audit.models.entry import EntryQuerySet
from deployctl.web.http import page_or_fragment, see_other, wants_fragment

PER_PAGE = 50


@approver
@require_safe
def entries(request: HttpRequest) -> HttpResponse:
    """The entries, newest first, filtered by the query; a filter that makes no sense lets none through."""
    form = EntryFilterForm(request.GET, actions=[str(action) for action in Action])
    found = Entry.objects.none()
    if form.is_valid():
        found = _filtered(Entry.objects.all(), form.cleaned_data)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "verification": Verification.objects.first()}
    status = 200 if form.is_valid() else 422
    return page_or_fragment(request, "audit/entry_list.html", "audit/_entries.html", context, status=status)


@approver
@require_POST
def verification(request: HttpRequest) -> HttpResponse:
    """Read the whole chain back, and show what was found."""
    performed = Verification.objects.perform(by=person(request))
    if wants_fragment(request):
        return render(request, "audit/_verification.html", {"verification": performed})
    return see_other(request, reverse("audit:entries"))


def _filtered(found: EntryQuerySet, wanted: dict[str, Any]) -> EntryQuerySet:
    """Only entries that meet every condition given; an action ending with a dot means all of that noun."""
    action, person = wanted["action"], wanted["person"]
    if action:
        found = (
            found.filter(action__startswith=action) if action.endswith(".") else found.filter(action=action)
        )
    if person:
        found = found.filter(actor_id=person.pk)
    if wanted["subject"]:
        found = found.filter(subject__icontains=wanted["subject"])
    if wanted["deployment"]:
        found = found.of_deployment(wanted["deployment"])
    return found.between(_midnight(wanted["since"]), _midnight(wanted["until"], days_later=1))


def _midnight(day: dt.date | None, *, days_later: int = 0) -> dt.datetime | None:
    """The start of a day in the viewer's zone."""
    if day is None:
        return None
    return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=days_later), dt.time.min))
