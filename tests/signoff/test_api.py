"""The API for programs, and how it rejects requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from checklists.models import Deployment
from deployctl.accounts import api_authentication
from deployctl.accounts.models import ApiToken, User
from deployctl.accounts.models.api_token import Scope
from deployctl.accounts.testing import enroll
from deployctl.audit import Action
from deployctl.audit.models import Entry
from tests.checklists.factories import item
from tests.signoff.signing import MACHINE


@pytest.fixture(autouse=True)
def reset_throttling() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def people_who_can_sign(dba: User, devops_lead: User, qa_lead: User) -> None:
    """Set up second factors; otherwise missing signers would be blockers."""
    for person in (dba, devops_lead, qa_lead):
        enroll(person)


@pytest.fixture
def token(administrator: User) -> str:
    _, text = ApiToken.objects.issue(by=administrator, name="CI", scopes=[Scope.GATE_PRE], days=30)
    return text


def get_gate(deployment: Deployment | int, text: str, query: str = "stage=pre", **headers: str) -> Any:
    number = deployment if isinstance(deployment, int) else deployment.pk
    authorization = {"Authorization": f"Bearer {text}"} if text else {}
    return Client().get(f"/api/deployments/{number}/gate?{query}", headers=authorization | headers)


def test_a_token_reads_the_gate_of_its_scope(deployment: Deployment, token: str) -> None:
    response = get_gate(deployment, token)
    assert (response.status_code, response.json()["verdict"], response.json()["signed"]) == (200, "GO", False)
    assert ApiToken.objects.get().last_used_at is not None
    item(deployment, "Server is there").undo(MACHINE)
    verdict = get_gate(deployment, token).json()
    assert (verdict["go"], verdict["blockers"][0]["sentence"]) == (
        False,
        "“Server is there” is open; complete or waive it.",
    )


def test_a_token_without_the_scope_is_rejected_and_audited(deployment: Deployment, token: str) -> None:
    response = get_gate(deployment, token, "stage=post")
    assert (response.status_code, "lacks the scope gate:post" in response.json()["error"]) == (403, True)
    assert Entry.objects.first().action == Action.TOKEN_REJECTED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expires_at": timezone.now() - dt.timedelta(days=1)}, "expired"),
        ({"revoked_at": timezone.now()}, "was revoked"),
    ],
)
def test_an_expired_or_revoked_token_is_rejected(
    deployment: Deployment, token: str, change: dict[str, Any], expected: str
) -> None:
    ApiToken.objects.update(**change)
    response = get_gate(deployment, token)
    assert (response.status_code, expected in response.json()["error"]) == (401, True)


def test_a_token_is_invalid_when_its_creator_is_disabled(deployment: Deployment, token: str) -> None:
    User.objects.filter(api_tokens__isnull=False).update(is_active=False)
    response = get_gate(deployment, token)
    assert (response.status_code, "is disabled" in response.json()["error"]) == (401, True)


def test_a_missing_or_wrong_token_and_a_session_are_rejected(
    deployment: Deployment, token: str, dba: User, signed_in: Any
) -> None:
    none = get_gate(deployment, "")
    assert (none.status_code, none.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    wrong = get_gate(deployment, f"{token}x")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "This token isn't valid.")
    assert Entry.objects.first().action == Action.TOKEN_REJECTED
    assert signed_in(dba).get(f"/api/deployments/{deployment.pk}/gate?stage=pre").status_code == 401


@pytest.mark.parametrize("name", api_authentication.TOKEN_PARAMETERS)
def test_a_token_in_the_url_is_rejected_even_if_it_is_valid(
    deployment: Deployment, token: str, name: str
) -> None:
    response = get_gate(deployment, token, f"stage=pre&{name}={token}")
    assert (response.status_code, "Don't send a token in the URL" in response.json()["error"]) == (
        400,
        True,
    )


@pytest.mark.parametrize(
    "address", ["/", "/deployments/", "/audit/", "/audit/export", "/tokens/", "/account/", "/live/"]
)
def test_a_token_does_not_open_pages(token: str, address: str) -> None:
    response = Client().get(address, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code in {302, 401, 404}
    assert response.status_code != 302 or response.headers["Location"].startswith("/account/login/")


def test_guessing_tokens_is_throttled(deployment: Deployment, token: str) -> None:
    for _ in range(api_authentication.MAX_FAILURES):
        assert get_gate(deployment, "dctl_0000000000_guess").status_code == 401
    throttled = get_gate(deployment, token)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "300")


def test_frequent_requests_are_throttled(
    deployment: Deployment, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_authentication, "MAX_REQUESTS", 2)
    assert [get_gate(deployment, token).status_code for _ in range(3)] == [200, 200, 429]


def test_an_unknown_stage_or_deployment_is_an_error(deployment: Deployment, token: str) -> None:
    assert get_gate(deployment, token, "stage=later").status_code == 422
    assert get_gate(4711, token).status_code == 404
