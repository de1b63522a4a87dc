"""Delegations, and the revocation of delegations and signatures."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from checklists.models import Deployment
from checklists.models.deployment_queries import DeploymentQuerySet
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import approver, enrolled, step_up
from deployctl.errors import InvalidInput, Refusal
from deployctl.web.errors import status_of
from deployctl.web.http import posted, row_number, see_other
from signoff.forms.gates import DelegationForm
from signoff.models import Delegation, Gate, Signature
from signoff.views.gates import find_gate, sign_page


@approver
@require_POST
@step_up
def delegations(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Create a delegation. The fresh code is the delegator's approval."""
    by = current_user(request)
    visible = Gate.objects.filter(deployment__in=_visible(request).filter(pk=deployment_id))
    number = row_number(request.POST.get("slot"))
    gate = find_gate(request, deployment_id, get_object_or_404(visible, slots=number).key)
    slot = next(each for each in gate.slots.all() if each.pk == number)
    form, status = DelegationForm.posted(request.POST, slot, by), 422
    if form.is_valid():
        try:
            delegation = Delegation.create(by=by, **form.cleaned_data)
        except (InvalidInput, Refusal) as error:  # NotAllowed propagates and is audited
            form.add_error(None, error.message)
            status = status_of(error)
        else:
            messages.success(
                request,
                f"{delegation.delegate_name} can now sign as {delegation.slot.label} for you.",
            )
            return see_other(request, _page(gate))
    return sign_page(request, gate, delegation_form=form, status=status)


@enrolled
@require_POST
@step_up
def delegation_revocation(request: HttpRequest, pk: int) -> HttpResponse:
    """Revoke a delegation."""
    delegation = get_object_or_404(
        Delegation.objects.select_related("slot__gate__deployment"),
        pk=pk,
        slot__gate__deployment__in=_visible(request),
    )
    delegation.revoke(by=current_user(request), reason=posted(request, "reason"))
    messages.success(
        request,
        f"Delegation revoked. {delegation.delegate_name} can no longer sign for {delegation.delegator_name}.",
    )
    return see_other(request, _page(delegation.slot.gate))


@enrolled
@require_POST
@step_up
def signature_revocation(request: HttpRequest, pk: int) -> HttpResponse:
    """Revoke a signature."""
    signature = get_object_or_404(
        Signature.objects.select_related("slot__gate__deployment"),
        pk=pk,
        slot__gate__deployment__in=_visible(request),
    )
    signature.revoke(by=current_user(request), reason=posted(request, "reason"))
    messages.success(
        request, f"Your signature as {signature.slot.label} was revoked, and the gate is open again."
    )
    return see_other(request, _page(signature.slot.gate))


def _visible(request: HttpRequest) -> DeploymentQuerySet:
    return Deployment.objects.visible_to(current_user(request))


def _page(gate: Gate) -> str:
    return reverse("signoff:gate", args=[gate.deployment_id, gate.key])
