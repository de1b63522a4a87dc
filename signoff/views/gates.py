"""The pages of gates, signatures and record diffs."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from checklists import readiness
from checklists.models import Deployment
from deployctl.accounts import passkeys, single_sign_on
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import approver, member
from deployctl.errors import DeployctlError
from deployctl.web.errors import status_of
from deployctl.web.http import row_number, see_other
from signoff import diff, prefetch, presenters
from signoff import record as records
from signoff.forms.gates import DelegationForm, SignatureForm
from signoff.models import Gate, Slot


@member
@require_safe
def fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the fragment of one gate, for live updates."""
    visible = Deployment.objects.visible_to(current_user(request)).with_team()
    deployment = get_object_or_404(visible, gates=pk)
    gate = next(gate for gate in prefetch.gates_of(deployment) if gate.pk == pk)
    view = presenters.gate_view(gate, current_user(request))
    return render(request, "signoff/_gate.html", {"view": view, "deployment": deployment})


@member
@require_safe
def gate(request: HttpRequest, deployment_id: int, key: str) -> HttpResponse:
    """Show a gate with the full record and the signature form."""
    return sign_page(request, find_gate(request, deployment_id, key))


@member
@require_safe
def comparison(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Show the differences between two records of a deployment."""
    deployment = get_object_or_404(Deployment.objects.visible_to(current_user(request)), pk=deployment_id)
    context = {"deployment": deployment, "comparison": diff.compare(deployment, request.GET)}
    return render(request, "signoff/record_comparison.html", context)


@approver
@require_POST
def signatures(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Sign a slot."""
    slot = get_object_or_404(
        Slot.objects.select_related("gate__deployment__target"),
        pk=row_number(request.POST.get("slot")),
        gate__deployment__in=Deployment.objects.visible_to(current_user(request)).filter(pk=deployment_id),
    )
    form, status = (
        SignatureForm(request.POST, gate=slot.gate, slots=[slot], signer=current_user(request)),
        422,
    )
    if form.is_valid():
        try:
            slot.sign(
                by=current_user(request),
                digest=form.cleaned_data["digest"],
                password=form.cleaned_data.get("password", ""),
                code=form.cleaned_data.get("code", ""),
                passkey=form.cleaned_data.get("passkey", ""),
            )
        except DeployctlError as error:
            form.add_error(None, error.message)
            status = status_of(error)
        else:
            messages.success(request, f"Signed as {slot.label}.")
            return see_other(request, reverse("checklists:deployment", args=[deployment_id]))
    # Reload the gate: somebody else may have signed meanwhile.
    return sign_page(request, find_gate(request, deployment_id, slot.gate.key), form=form, status=status)


def find_gate(request: HttpRequest, deployment_id: int, key: str) -> Gate:
    """Return a gate with everything prefetched; raise 404 if the viewer may not see its deployment."""
    visible = Deployment.objects.visible_to(current_user(request)).with_team().select_related("target")
    deployment = get_object_or_404(visible, pk=deployment_id)
    found = next((gate for gate in prefetch.gates_of(deployment) if gate.key == key), None)
    if found is None:
        raise Http404
    return found


def _open_slots(gate: Gate, request: HttpRequest) -> list[Slot]:
    return [slot for slot in gate.slots.all() if not slot.sign_denied_reason(current_user(request))]


def _empty_form(request: HttpRequest, gate: Gate, slots: list[Slot]) -> SignatureForm:
    chosen = next((slot for slot in slots if str(slot.pk) == request.GET.get("slot")), None)
    return SignatureForm(gate=gate, slots=slots, signer=current_user(request), initial={"slot": chosen})


def sign_page(
    request: HttpRequest,
    gate: Gate,
    *,
    form: SignatureForm | None = None,
    delegation_form: DelegationForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """Render the page of a gate.

    Args:
        gate: from `find_gate`.
        form, delegation_form: bound forms with errors; None for empty forms.
    """
    by, slots = current_user(request), _open_slots(gate, request)
    record = presenters.shown_record(gate)
    blockers = readiness.blockers(gate.deployment, gate.key)
    digest = records.digest(record)
    context = {
        "gate": gate,
        "deployment": gate.deployment,
        "view": presenters.gate_view(gate, by),
        "record": record,
        "sections": presenters.sections(record),
        # Always the digest of the record on this page, also after a rejected form.
        "digest": digest,
        "form": form or _empty_form(request, gate, slots),
        "slots": slots,
        "reasons": sorted({slot.sign_denied_reason(by) for slot in gate.slots.all()} - {""}),
        "revocable_signatures": presenters.revocable_signatures(gate, by),
        "delegations": presenters.delegations_of(gate),
        "delegation_form": delegation_form or DelegationForm.of(gate, by),
        "blockers": blockers,
        "is_blocked": any(blocker.blocks_signing for blocker in blockers),
        "changes": presenters.changed_since_last_signature(gate, record),
        "reauthentication": single_sign_on.reauthentication_for(by, digest),
    } | passkeys.page_context(request, reverse("signoff:gate", args=[gate.deployment_id, gate.key]))
    return render(request, "signoff/gate_sign.html", context, status=status)
