"""Evidence: what there is of a deployment, making it, taking it away, checking it."""

from __future__ import annotations

import io
import json
from typing import Any

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
from deployctl.web.errors import status_of
from deployctl.web.http import see_other
from deployctl.web.streaming import as_attachment, download, read_chunks
from signoff.evidence import checklist, document, period
from signoff.evidence.contents import ENDED
from signoff.forms_evidence import PeriodForm
from signoff.models import EvidencePack
from signoff.models.pack import FORMS


@member
@require_safe
def evidence(request: HttpRequest, deployment_id: int) -> HttpResponse:
    """What was exported of a deployment, and what would be now."""
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
    """Export a pack as things are now."""
    deployment = _deployment(request, deployment_id)
    EvidencePack.export(deployment, current_user(request))
    messages.success(request, "The evidence was exported, signed, and read back.")
    return see_other(request, reverse("signoff:evidence", args=[deployment.pk]))


@member
@require_safe
def pack_file(request: HttpRequest, number: int, kind: str) -> HttpResponseBase:
    """Take a pack away: as it is, as a document, or as the filled-in checklist."""
    if kind not in FORMS:
        raise Http404
    pack = _pack(request, number)
    content = pack.content() if kind == "json" else pack.intact_content()
    pack.note_fetched(current_user(request), kind)
    name = pack.file_name(kind)
    if kind == "json":
        return download(request, read_chunks(io.BytesIO(content)), name=name, content_type="application/json")
    if kind == "pdf":
        made = HttpResponse(document.render(json.loads(content), pack.digest), content_type="application/pdf")
    else:
        text = checklist.render(json.loads(content), pack.digest)
        made = HttpResponse(text, content_type="text/markdown; charset=utf-8")
    return as_attachment(made, name)


@member
@require_POST
def pack_verification(request: HttpRequest, number: int) -> HttpResponse:
    """Read a stored pack back, and show what was found."""
    pack = _pack(request, number)
    if pack.verify().ok:
        messages.success(request, f"The pack {pack.digest[:12]} is what was exported, byte for byte.")
    else:
        messages.error(request, f"The pack {pack.digest[:12]} is damaged. {pack.problem}")
    return see_other(request, reverse("signoff:evidence", args=[pack.deployment_id]))


@member
@require_http_methods(["GET", "HEAD", "POST"])
def target_period(request: HttpRequest, name: str) -> HttpResponseBase:
    """All evidence of a target between two dates, as one archive."""
    target = get_object_or_404(Target.objects.visible_to(current_user(request)), name=name)
    form, status = PeriodForm(request.POST or None), 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            since, until = form.cleaned_data["since"], form.cleaned_data["until"]
            try:
                made = period.archive(target, since, until, current_user(request))
            except DeployctlError as error:
                form.add_error(None, error.sentence)
                status = status_of(error)
            else:
                name = period.file_name(target, since, until)
                return download(request, read_chunks(made), name=name, content_type="application/zip")
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
