"""Pages and answers of signing."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from checklists import readiness
from checklists.models import Deployment
from deployctl.accounts import passkeys, single_sign_on
from deployctl.accounts.policies import approver, member
from deployctl.accounts.requests import person
from deployctl.errors import DeployctlError
from deployctl.web.errors import status_of
from deployctl.web.http import row_number, see_other
from signoff import comparing, loading, presentation, rights
from signoff import record as records
from signoff.forms import DelegationForm, SignatureForm
from signoff.models import Gate, Slot


@member
@require_safe
def fragment(request: HttpRequest, pk: int) -> HttpResponse:
    """One gate's fragment, for live pages."""
    visible = Deployment.objects.visible_to(person(request)).with_team()
    deployment = get_object_or_404(visible, gates=pk)
    gate = next(gate for gate in loading.gates_of(deployment) if gate.pk == pk)
    view = presentation.gate_view(gate, person(request))
    return render(request, "signoff/_gate.html", {"view": view, "deployment": deployment})


@member
@require_safe
def gate(request: HttpRequest, deployment_id: int, key: str) -> HttpResponse:
    """What is being signed, in full, and the form to sign it with."""
    gate = _gate(request, deployment_id, key)
    slots = _open_slots(gate, request)
    chosen = next((slot for slot in slots if str(slot.pk) == request.GET.get("slot")), None)
    record = presentation.shown_record(gate)
    form = SignatureForm(gate=gate, slots=slots, signer=person(request), initial={"slot": chosen})
    return _sign_page(request, gate, form, slots, record)


@member
@require_safe
def comparison(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Two records of a deployment, and what differs between them."""
    deployment = get_object_or_404(Deployment.objects.visible_to(person(request)), pk=deployment_id)
    context = {"deployment": deployment, "comparison": comparing.compare(deployment, request.GET)}
    return render(request, "signoff/record_comparison.html", context)


@approver
@require_POST
def signatures(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Sign."""
    slot = get_object_or_404(
        Slot.objects.select_related("gate__deployment__target"),
        pk=row_number(request.POST.get("slot")),
        gate__deployment__in=Deployment.objects.visible_to(person(request)).filter(pk=deployment_id),
    )
    form, status = SignatureForm(request.POST, gate=slot.gate, slots=[slot], signer=person(request)), 422
    if form.is_valid():
        try:
            slot.sign(
                by=person(request),
                digest=form.cleaned_data["digest"],
                password=form.cleaned_data.get("password", ""),
                code=form.cleaned_data.get("code", ""),
                passkey=form.cleaned_data.get("passkey", ""),
            )
        except DeployctlError as error:
            form.add_error(None, error.sentence)
            status = status_of(error)
        else:
            messages.success(request, f"Signed as {slot.label}.")
            return see_other(request, reverse("checklists:deployment", args=[deployment_id]))
    # As things are now: somebody else may have signed meanwhile.
    gate = _gate(request, deployment_id, slot.gate.key)
    record = presentation.shown_record(gate)
    return _sign_page(request, gate, form, _open_slots(gate, request), record, status)


def _gate(request: HttpRequest, deployment_id: int, key: str) -> Gate:
    visible = Deployment.objects.visible_to(person(request)).with_team().select_related("target")
    deployment = get_object_or_404(visible, pk=deployment_id)
    found = next((gate for gate in loading.gates_of(deployment) if gate.key == key), None)
    if found is None:
        raise Http404
    return found


def _open_slots(gate: Gate, request: HttpRequest) -> list[Slot]:
    return [slot for slot in gate.slots.all() if not slot.refusal(person(request))]


def _sign_page(
    request: HttpRequest,
    gate: Gate,
    form: SignatureForm,
    slots: list[Slot],
    record: records.Json,
    status: int = 200,
) -> HttpResponse:
    by = person(request)
    blockers = readiness.blockers(gate.deployment, gate.key)
    to_give = [slot for slot in gate.slots.all() if not rights.why_not_delegate(slot, by)]
    digest = records.digest(record)
    context = {
        "gate": gate,
        "deployment": gate.deployment,
        "view": presentation.gate_view(gate, by),
        "record": record,
        "sections": presentation.sections(record),
        # Always of the record that this very page shows, also after a refusal.
        "digest": digest,
        "form": form,
        "slots": slots,
        "reasons": sorted({slot.refusal(by) for slot in gate.slots.all()} - {""}),
        "to_withdraw": presentation.to_withdraw(gate, by),
        "delegations": presentation.delegations_of(gate),
        "delegation_form": DelegationForm(slots=to_give, by=by) if to_give else None,
        "blockers": blockers,
        "hindered": any(blocker.hinders_signing for blocker in blockers),
        "changes": presentation.changed_since_last_signature(gate, record),
        "reauthentication": single_sign_on.reauthentication_for(by, digest),
    } | passkeys.for_page(request, reverse("signoff:gate", args=[gate.deployment_id, gate.key]))
    return render(request, "signoff/gate_sign.html", context, status=status)
