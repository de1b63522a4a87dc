"""The JSON API. Programs authenticate with an API token."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from checklists.models import Deployment
from deployctl.accounts import api_authentication
from deployctl.accounts.models.api_token import Scope
from signoff import verdict

SCOPES = {"pre": Scope.GATE_PRE, "post": Scope.GATE_POST}


@csrf_exempt  # a POST gets 405 (method not allowed) instead of a CSRF error
@require_safe
@api_authentication.token_required
def gate(request: HttpRequest, number: int) -> JsonResponse:
    """Return the verdict on the gate for `?stage=pre` or `?stage=post`."""
    stage = request.GET.get("stage", "")
    if stage not in SCOPES:
        return JsonResponse({"error": "Add ?stage=pre or ?stage=post to the URL."}, status=422)
    api_authentication.require_scope(request, SCOPES[stage])
    deployment = Deployment.objects.select_related("target").filter(pk=number).first()
    if deployment is None:
        return JsonResponse({"error": f"There is no deployment {number}."}, status=404)
    response = JsonResponse(verdict.of(deployment, stage).as_json())
    response["Cache-Control"] = "no-store"
    return response
