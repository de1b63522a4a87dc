"""The audit log. Its views live here because its filters name targets and deployments, floors above it."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from django.db.models import CharField, Q
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from checklists.models import Deployment
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import approver
from deployctl.audit import exports, signed_statements, signing_keys
from deployctl.audit.models import Entry, SignedHead, Verification
from deployctl.audit.models.entry import EntryQuerySet
from deployctl.errors import InvalidInput
from deployctl.runs.models import Backup, Run, Target
from deployctl.web.http import page_or_fragment, row_number, see_other, wants_fragment
from deployctl.web.streaming import download
from signoff.forms.audit import EntryFilterForm

PER_PAGE = 50


class Stretch(NamedTuple):
    """Entries of one page, newest first, and from where the neighbouring pages go on (0: there is none)."""

    entries: list[Entry]
    newer_than: int
    older_than: int


@approver
@require_safe
def entries(request: HttpRequest) -> HttpResponse:
    """The entries, newest first, filtered by the query; where that makes no sense, what is wrong with it."""
    form = EntryFilterForm(request.GET)
    usable = form.is_valid()
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    context = {
        "form": form,
        "page": _stretch(_filtered(Entry.objects.all(), form.cleaned_data), request) if usable else None,
        "query": query.urlencode(),
        **_anchors(),
    }
    status = 200 if usable else 422
    return page_or_fragment(request, "audit/entry_list.html", "audit/_entries.html", context, status=status)


@approver
@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """The same entries as JSON lines, oldest first; `deployctl verify` checks them anywhere."""
    form = EntryFilterForm(request.GET)
    if not form.is_valid():
        raise InvalidInput(
            "This filter makes no sense, so nothing was exported. Correct it on the audit page."
        )
    found = _filtered(Entry.objects.all(), form.cleaned_data)
    lines = exports.export(found, by=current_user(request), filters=form.as_text())
    name = f"audit-{timezone.localdate()}.jsonl"
    return download(request, lines, name=name, content_type="application/jsonl")


@approver
@require_POST
def verification(request: HttpRequest) -> HttpResponse:
    """Read the whole chain back, and show what was found."""
    Verification.objects.perform(by=current_user(request))
    if wants_fragment(request):
        return render(request, "audit/_verification.html", _anchors())
    return see_other(request, reverse("audit:entries"))


def _anchors() -> dict[str, Any]:
    """What the last reading found, and what holds the chain from outside the database."""
    public = signing_keys.public_key()
    return {
        "verification": Verification.objects.first(),
        "head": SignedHead.objects.first(),
        "exported_head": SignedHead.objects.exclude(exported_at=None).first(),
        "fingerprint": signed_statements.fingerprint(public) if public else "",
        "public_key": public,
    }


def _stretch(found: EntryQuerySet, request: HttpRequest) -> Stretch:
    """One page by the number that it begins after: as quick on the last page as on the first.

    The log has no end worth counting; `?before=` and `?after=` hold their place while entries are added.
    """
    before, after = row_number(request.GET.get("before")), row_number(request.GET.get("after"))
    if after:
        upwards = list(found.filter(sequence__gt=after).order_by("sequence")[: PER_PAGE + 1])
        shown, has_newer, has_older = upwards[:PER_PAGE][::-1], len(upwards) > PER_PAGE, True
    else:
        downwards = found.filter(sequence__lt=before) if before else found
        listed = list(downwards.order_by("-sequence")[: PER_PAGE + 1])
        shown, has_newer, has_older = listed[:PER_PAGE], bool(before), len(listed) > PER_PAGE
    return Stretch(
        shown,
        shown[0].sequence if shown and has_newer else 0,
        shown[-1].sequence if shown and has_older else 0,
    )


def _filtered(found: EntryQuerySet, wanted: dict[str, Any]) -> EntryQuerySet:
    """Only entries that meet every condition given; an action ending with a dot means all of that noun."""
    action, by = wanted["action"], wanted["person"]
    if action:
        found = (
            found.filter(action__startswith=action) if action.endswith(".") else found.filter(action=action)
        )
    if by:
        found = found.filter(actor_id=by.pk)
    if wanted["target"]:
        found = found.filter(_of_target(wanted["target"]))
    if wanted["subject"]:
        found = found.filter(subject__icontains=wanted["subject"])
    if wanted["deployment"]:
        found = found.of_deployment(wanted["deployment"])
    return found.between(_midnight(wanted["since"]), _midnight(wanted["until"], days_later=1))


def _of_target(target: Target) -> Q:
    """What happened to a target, in its deployments, by its runs and to its backups."""
    of_it = Q(deployment_id__in=Deployment.objects.filter(target=target).values("pk"))
    of_it |= Q(subject_type=target._meta.label_lower, subject_id=str(target.pk))
    for model in (Run, Backup):
        rows = model._default_manager.filter(target=target).values(text=Cast("pk", CharField()))
        of_it |= Q(subject_type=model._meta.label_lower, subject_id__in=rows)
    return of_it


def _midnight(day: dt.date | None, *, days_later: int = 0) -> dt.datetime | None:
    """The start of a day in the viewer's zone."""
    if day is None:
        return None
    return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=days_later), dt.time.min))
