"""Items: look, tick, undo, waive, prove, run; in place for htmx, on a page of their own without it."""

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

HISTORY_LINES = 20


@require_safe
@member
def item(request: HttpRequest, number: int) -> HttpResponse:
    """An item, closed or (`?open=1`) opened in place; as a page it is always open."""
    return _show(request, _item(request, number), opened="open" in request.GET)


@require_http_methods(["POST", "DELETE"])
@member
def completion(request: HttpRequest, number: int) -> HttpResponse:
    """Tick an item, or undo it."""
    found, by = _item(request, number), current_user(request)
    if request.method == "DELETE":
        return _answer(request, found, lambda: found.undo(by))
    return _answer(request, found, lambda: found.complete(by, posted(request, "note")))


@require_http_methods(["POST", "DELETE"])
@member
def waiver(request: HttpRequest, number: int) -> HttpResponse:
    """Waive an item, or withdraw that."""
    found, by = _item(request, number), current_user(request)
    if request.method == "DELETE":
        return _answer(request, found, lambda: found.unwaive(by))
    return _answer(request, found, lambda: found.waive(by, posted(request, "reason")))


@require_POST
@member
def proofs(request: HttpRequest, number: int) -> HttpResponse:
    """Put a note, a link or a file beside an item."""
    found, by = _item(request, number), current_user(request)
    kind, text, url = (posted(request, name) for name in ("kind", "text", "url"))
    file = request.FILES.get("file")
    return _answer(request, found, lambda: found.add_proof(by, kind, text=text, url=url, file=file))


@require_POST
@operator
def runs(request: HttpRequest, number: int) -> HttpResponseBase:
    """Start the operation that proves an item. Its parameters are the template's: they were approved."""
    found, by = _item(request, number), current_user(request)
    if found.needs_second_person(found.deployment.target) and (ask := require_step_up(request)):
        return ask
    return _answer(request, found, lambda: found.start(by, typed_name=posted(request, "typed_name")))


def _answer(request: HttpRequest, found: Item, verb: Callable[[], object]) -> HttpResponse:
    """Do it, and show the item as it is afterwards: with the sentence, where it was refused."""
    try:
        with signature_warnings.locked_if_warned(request, found.deployment, found.section.stage):
            verb()
    except DeployctlError as error:
        # Whoever came second sees at once how things stand, and why nothing happened.
        found.refresh_from_db()
        return _show(request, found, opened=True, problem=error.message, status=status_of(error))
    if wants_fragment(request):
        return _show(request, found, opened=bool(posted(request, "open")))
    return see_other(request, f"{found.deployment.get_absolute_url()}#item-{found.pk}")


def _show(
    request: HttpRequest, found: Item, *, opened: bool, problem: str = "", status: int = 200
) -> HttpResponse:
    row = _row(request, found, opened=opened or not wants_fragment(request), problem=problem)
    context = {"row": row, "deployment": row.deployment}
    if row.open:
        context["history"] = Entry.objects.about(found)[:HISTORY_LINES]
    return page_or_fragment(
        request, "checklists/item_detail.html", "checklists/_item.html", context, status=status
    )


def _row(request: HttpRequest, found: Item, *, opened: bool, problem: str) -> ItemRow:
    by = current_user(request)
    deployment = _deployments(request).get(pk=found.section.checklist.deployment_id)
    permissions, operator_ = DeploymentPermissions.of(by, deployment), by.may(Permission.OPERATOR)
    signed = readiness.signed_stages(deployment)

    def row(each: Item) -> ItemRow:
        each.section = found.section
        return ItemRow(
            each,
            deployment,
            permissions,
            operator_,
            list(each.proofs.select_related("run")),
            signed=lambda: signed,
        )

    shown = row(Item.objects.for_pages().get(pk=found.pk))
    shown.children = [row(child) for child in found.children.all()]
    shown.open, shown.problem = opened, problem
    return shown


def _item(request: HttpRequest, number: int) -> Item:
    visible = Item.objects.filter(section__checklist__deployment__in=_visible(request))
    return get_object_or_404(visible.select_related("section__checklist__deployment__target"), pk=number)


def _deployments(request: HttpRequest) -> DeploymentQuerySet:
    return _visible(request).for_page()


def _visible(request: HttpRequest) -> DeploymentQuerySet:
    return Deployment.objects.visible_to(current_user(request))
