"""Download evidence files."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from checklists.models import Deployment, Proof, ProofKind
from deployctl.accounts.current_user import current_user
from deployctl.accounts.policies import member
from deployctl.errors import Refusal


@require_safe
@member
def file(request: HttpRequest, number: int) -> HttpResponseBase:
    """Download an evidence file, always as an untyped attachment, so that browsers never render it."""
    visible = Deployment.objects.visible_to(current_user(request))
    proofs = Proof.objects.filter(kind=ProofKind.FILE, item__section__checklist__deployment__in=visible)
    proof = get_object_or_404(proofs, pk=number)
    try:
        content = proof.file.open("rb")
    except FileNotFoundError:
        raise Refusal(
            f"The file “{proof.file_name}” is missing from storage. Its SHA-256 {proof.file_sha256} is still "
            "on record; ask an administrator to restore the file from a backup."
        ) from None
    response = FileResponse(
        content, as_attachment=True, filename=proof.file_name, content_type="application/octet-stream"
    )
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["Cache-Control"] = "private, no-store"
    return response
