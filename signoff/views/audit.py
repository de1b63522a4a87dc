"""The audit log. Its views are in this package because its filters need targets and deployments."""

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


class Page(NamedTuple):
    """A page of entries, newest first, and the numbers at which the neighboring pages start (0 if none)."""

    entries: list[Entry]
    newer_than: int
    older_than: int


@approver
@require_safe
def entries(request: HttpRequest) -> HttpResponse:
    """Show the filtered entries, newest first; if the filter is invalid, show its errors."""
    form = EntryFilterForm(request.GET)
    is_valid = form.is_valid()
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    context = {
        "form": form,
        "page": _page(_filtered(Entry.objects.all(), form.cleaned_data), request) if is_valid else None,
        "query": query.urlencode(),
        **_anchors(),
    }
    status = 200 if is_valid else 422
    return page_or_fragment(request, "audit/entry_list.html", "audit/_entries.html", context, status=status)


@approver
@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """Download the filtered entries as JSON lines, oldest first; `deployctl verify` checks them."""
    form = EntryFilterForm(request.GET)
    if not form.is_valid():
        raise InvalidInput("This filter is invalid, and nothing was exported. Correct it on the audit page.")
    found = _filtered(Entry.objects.all(), form.cleaned_data)
    lines = exports.export(found, by=current_user(request), filters=form.as_text())
    name = f"audit-{timezone.localdate()}.jsonl"
    return download(request, lines, name=name, content_type="application/jsonl")


@approver
@require_POST
def verification(request: HttpRequest) -> HttpResponse:
    """Verify the whole chain and show the result."""
    Verification.objects.perform(by=current_user(request))
    if wants_fragment(request):
        return render(request, "audit/_verification.html", _anchors())
    return see_other(request, reverse("audit:entries"))


def _anchors() -> dict[str, Any]:
    """Return the context for the last verification, the signed heads and the key."""
    public = signing_keys.public_key()
    return {
        "verification": Verification.objects.first(),
        "head": SignedHead.objects.first(),
        "exported_head": SignedHead.objects.exclude(exported_at=None).first(),
        "fingerprint": signed_statements.fingerprint(public) if public else "",
        "public_key": public,
    }


def _page(found: EntryQuerySet, request: HttpRequest) -> Page:
    """Return the page for `?before=` or `?after=`, each the number of an entry.

    Keyset pagination needs no count, is as fast on the last page as on the first, and pages don't shift while
    entries are added.
    """
    before, after = row_number(request.GET.get("before")), row_number(request.GET.get("after"))
    if after:
        newer = list(found.filter(sequence__gt=after).order_by("sequence")[: PER_PAGE + 1])
        shown, has_newer, has_older = newer[:PER_PAGE][::-1], len(newer) > PER_PAGE, True
    else:
        older = found.filter(sequence__lt=before) if before else found
        listed = list(older.order_by("-sequence")[: PER_PAGE + 1])
        shown, has_newer, has_older = listed[:PER_PAGE], bool(before), len(listed) > PER_PAGE
    return Page(
        shown,
        shown[0].sequence if shown and has_newer else 0,
        shown[-1].sequence if shown and has_older else 0,
    )


def _filtered(found: EntryQuerySet, conditions: dict[str, Any]) -> EntryQuerySet:
    """Return the entries that meet all conditions. An action that ends with a dot is a prefix."""
    action, by = conditions["action"], conditions["person"]
    if action:
        found = (
            found.filter(action__startswith=action) if action.endswith(".") else found.filter(action=action)
        )
    if by:
        found = found.filter(actor_id=by.pk)
    if conditions["target"]:
        found = found.filter(_of_target(conditions["target"]))
    if conditions["subject"]:
        found = found.filter(subject__icontains=conditions["subject"])
    if conditions["deployment"]:
        found = found.of_deployment(conditions["deployment"])
    return found.between(_midnight(conditions["since"]), _midnight(conditions["until"], days_later=1))


def _of_target(target: Target) -> Q:
    """Match the entries of a target and of its deployments, runs and backups."""
    condition = Q(deployment_id__in=Deployment.objects.filter(target=target).values("pk"))
    condition |= Q(subject_type=target._meta.label_lower, subject_id=str(target.pk))
    for model in (Run, Backup):
        rows = model._default_manager.filter(target=target).values(text=Cast("pk", CharField()))
        condition |= Q(subject_type=model._meta.label_lower, subject_id__in=rows)
    return condition


def _midnight(day: dt.date | None, *, days_later: int = 0) -> dt.datetime | None:
    """Return the start of a day in the viewer's time zone."""
    if day is None:
        return None
    return timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=days_later), dt.time.min))
