"""Export, download and verify the evidence of deployments."""

from __future__ import annotations

import io
import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from checklists.models import Deployment
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member
from deployctl.audit import signed_statements, signing_keys
from deployctl.errors import DeployctlError
from deployctl.runs.models import Target
from deployctl.web.date_fields import IsoDateField
from deployctl.web.errors import status_of
from deployctl.web.http import see_other
from deployctl.web.streaming import as_attachment, download, read_chunks
from signoff.evidence import document, filled_checklist, period_archive
from signoff.evidence.pack_contents import ENDED
from signoff.models import EvidencePack
from signoff.models.pack import FORMATS


class PeriodForm(forms.Form):
    """The first and the last day of a period."""

    since = IsoDateField(label="From")
    until = IsoDateField(label="To")


@member
@require_safe
def evidence(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Show a deployment's evidence packs and the form to export one."""
    deployment = _deployment(request, deployment_id)
    public = signing_keys.public_key()
    context = {
        "deployment": deployment,
        "packs": EvidencePack.objects.filter(deployment=deployment),
        "is_final": deployment.state in ENDED,
        "fingerprint": signed_statements.fingerprint(public) if public else "",
    }
    return render(request, "signoff/evidence.html", context)


@member
@require_POST
def packs(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """Export an evidence pack of the deployment's current state."""
    deployment = _deployment(request, deployment_id)
    EvidencePack.export(deployment, current_user(request))
    messages.success(request, "Evidence exported, signed and verified.")
    return see_other(request, reverse("signoff:evidence", args=[deployment.pk]))


@member
@require_safe
def pack_file(request: HttpRequest, number: int, kind: str) -> HttpResponseBase:
    """Download a pack as JSON, or the PDF or filled-in checklist made from it."""
    if kind not in FORMATS:
        raise Http404
    pack = _pack(request, number)
    content = pack.content() if kind == "json" else pack.intact_content()
    pack.record_download(current_user(request), kind)
    name = pack.file_name(kind)
    if kind == "json":
        return download(request, read_chunks(io.BytesIO(content)), name=name, content_type="application/json")
    if kind == "pdf":
        pdf = document.render(json.loads(content), pack.digest)
        return as_attachment(HttpResponse(pdf, content_type="application/pdf"), name)
    text = filled_checklist.render(json.loads(content), pack.digest)
    return as_attachment(HttpResponse(text, content_type="text/markdown; charset=utf-8"), name)


@member
@require_POST
def pack_verification(request: HttpRequest, number: int) -> HttpResponse:
    """Verify a stored pack and show the result."""
    pack = _pack(request, number)
    if pack.verify().ok:
        messages.success(request, f"Pack {pack.digest[:12]} is intact: every byte is as exported.")
    else:
        messages.error(request, f"Pack {pack.digest[:12]} is damaged. {pack.problem}")
    return see_other(request, reverse("signoff:evidence", args=[pack.deployment_id]))


@member
@require_http_methods(["GET", "HEAD", "POST"])
def target_period(request: HttpRequest, name: str) -> HttpResponseBase:
    """Download all evidence of a target between two dates as one archive."""
    target = get_object_or_404(Target.objects.visible_to(current_user(request)), name=name)
    form, status = PeriodForm(request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            since, until = form.cleaned_data["since"], form.cleaned_data["until"]
            try:
                archive = period_archive.archive(target, since, until, current_user(request))
            except DeployctlError as error:
                form.add_error(None, error.message)
                status = status_of(error)
            else:
                name = period_archive.file_name(target, since, until)
                return download(request, read_chunks(archive), name=name, content_type="application/zip")
    context: dict[str, Any] = {"target": target, "form": form}
    return render(request, "signoff/evidence_period.html", context, status=status)


def _deployment(request: HttpRequest, number: int) -> Deployment:
    visible = Deployment.objects.visible_to(current_user(request)).select_related("target")
    return get_object_or_404(visible, pk=number)


def _pack(request: HttpRequest, number: int) -> EvidencePack:
    visible = Deployment.objects.visible_to(current_user(request))
    return get_object_or_404(
        EvidencePack.objects.select_related("deployment"), pk=number, deployment__in=visible
    )
