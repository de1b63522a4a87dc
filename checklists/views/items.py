"""Show, complete, undo, waive, prove and run items: as fragments for htmx, as pages without it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checklists import readiness, signature_warnings
from checklists.models import Deployment, Item
from checklists.models.deployment_queries import DeploymentQuerySet
from checklists.permissions import DeploymentPermissions
from checklists.presenters import ItemRow
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member, operator, require_step_up
from deployctl.accounts.roles import Permission
from deployctl.audit.models import Entry
from deployctl.errors import DeployctlError
from deployctl.web.errors import status_of
from deployctl.web.http import page_or_fragment, posted, see_other, wants_fragment

HISTORY_ENTRIES = 20


@require_safe
@member
def item_detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show an item; as a fragment, collapsed unless `?open` is given."""
    return _render(request, _get_item(request, number), expanded="open" in request.GET)


@require_http_methods(["POST", "DELETE"])
@member
def completion(request: HttpRequest, number: int) -> HttpResponse:
    """Complete an item, or undo its completion."""
    item, by = _get_item(request, number), current_user(request)
    if request.method == "DELETE":
        return _apply(request, item, lambda: item.undo(by))
    return _apply(request, item, lambda: item.complete(by, posted(request, "note")))


@require_http_methods(["POST", "DELETE"])
@member
def waiver(request: HttpRequest, number: int) -> HttpResponse:
    """Waive an item, or undo its waiver."""
    item, by = _get_item(request, number), current_user(request)
    if request.method == "DELETE":
        return _apply(request, item, lambda: item.unwaive(by))
    return _apply(request, item, lambda: item.waive(by, posted(request, "reason")))


@require_POST
@member
def proofs(request: HttpRequest, number: int) -> HttpResponse:
    """Add a note, link or file to an item as proof."""
    item, by = _get_item(request, number), current_user(request)
    kind, text, url = (posted(request, name) for name in ("kind", "text", "url"))
    file = request.FILES.get("file")
    return _apply(request, item, lambda: item.add_proof(by, kind, text=text, url=url, file=file))


@require_POST
@operator
def runs(request: HttpRequest, number: int) -> HttpResponseBase:
    """Start the operation that proves an item, with the approved parameters from the template."""
    item, by = _get_item(request, number), current_user(request)
    if item.needs_second_person(item.deployment.target) and (ask := require_step_up(request)):
        return ask
    return _apply(request, item, lambda: item.start(by, typed_name=posted(request, "typed_name")))


def _apply(request: HttpRequest, item: Item, change: Callable[[], object]) -> HttpResponse:
    """Apply the change and show the item's new state, or its current state with the error."""
    try:
        with signature_warnings.locked_if_warned(request, item.deployment, item.section.stage):
            change()
    except DeployctlError as error:
        # If somebody else was faster, show what they did.
        item.refresh_from_db()
        return _render(request, item, expanded=True, error=error.message, status=status_of(error))
    if wants_fragment(request):
        return _render(request, item, expanded=bool(posted(request, "open")))
    return see_other(request, f"{item.deployment.get_absolute_url()}#item-{item.pk}")


def _render(
    request: HttpRequest, item: Item, *, expanded: bool, error: str = "", status: int = 200
) -> HttpResponse:
    row = _row(request, item)
    row.expanded, row.error = expanded or not wants_fragment(request), error
    context = {"row": row, "deployment": row.deployment}
    if row.expanded:
        context["history"] = Entry.objects.about(item)[:HISTORY_ENTRIES]
    return page_or_fragment(
        request, "checklists/item_detail.html", "checklists/_item.html", context, status=status
    )


def _row(request: HttpRequest, item: Item) -> ItemRow:
    by = current_user(request)
    deployment = _visible(request).for_page().get(pk=item.section.checklist.deployment_id)
    permissions, is_operator = DeploymentPermissions.of(by, deployment), by.may(Permission.OPERATOR)
    signed_stages = readiness.signed_stages(deployment)

    def row_of(each: Item) -> ItemRow:
        each.section = item.section
        return ItemRow(
            each,
            deployment,
            permissions,
            is_operator,
            list(each.proofs.select_related("run")),
            signed_stages=lambda: signed_stages,
        )

    row = row_of(Item.objects.for_pages().get(pk=item.pk))
    row.children = [row_of(child) for child in item.children.all()]
    return row


def _get_item(request: HttpRequest, number: int) -> Item:
    visible = Item.objects.filter(section__checklist__deployment__in=_visible(request))
    return get_object_or_404(visible.select_related("section__checklist__deployment__target"), pk=number)


def _visible(request: HttpRequest) -> DeploymentQuerySet:
    return Deployment.objects.visible_to(current_user(request))
