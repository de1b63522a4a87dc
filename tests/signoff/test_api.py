"""What programs may ask, and every way in which they are refused."""

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
def attempts_of_this_test_only() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def people_who_can_sign(dba: User, devops_lead: User, qa_lead: User) -> None:
    """Else that nobody can sign is in the way."""
    for one in (dba, devops_lead, qa_lead):
        enroll(one)


@pytest.fixture
def token(administrator: User) -> str:
    _, text = ApiToken.objects.issue(by=administrator, name="CI", scopes=[Scope.GATE_PRE], days=30)
    return text


def ask(deployment: Deployment | int, text: str, query: str = "stage=pre", **headers: str) -> Any:
    number = deployment if isinstance(deployment, int) else deployment.pk
    shown = {"Authorization": f"Bearer {text}"} if text else {}
    return Client().get(f"/api/deployments/{number}/gate?{query}", headers=shown | headers)


def test_a_token_reads_the_gate_of_its_scope(deployment: Deployment, token: str) -> None:
    answer = ask(deployment, token)
    assert (answer.status_code, answer.json()["verdict"], answer.json()["signed"]) == (200, "GO", False)
    assert ApiToken.objects.get().last_used_at is not None
    item(deployment, "Server is there").undo(MACHINE)
    said = ask(deployment, token).json()
    assert (said["go"], said["blockers"][0]["sentence"]) == (
        False,
        "“Server is there” is open; complete or waive it.",
    )


def test_another_scope_is_refused_and_audited(deployment: Deployment, token: str) -> None:
    answer = ask(deployment, token, "stage=post")
    assert (answer.status_code, "lacks the scope gate:post" in answer.json()["error"]) == (403, True)
    assert Entry.objects.first().action == Action.TOKEN_REJECTED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expires_at": timezone.now() - dt.timedelta(days=1)}, "expired"),
        ({"revoked_at": timezone.now()}, "was revoked"),
    ],
)
def test_a_token_that_ended_is_refused(
    deployment: Deployment, token: str, change: dict[str, Any], words: str
) -> None:
    ApiToken.objects.update(**change)
    answer = ask(deployment, token)
    assert (answer.status_code, words in answer.json()["error"]) == (401, True)


def test_a_token_ends_with_the_account_of_whoever_made_it(deployment: Deployment, token: str) -> None:
    User.objects.filter(api_tokens__isnull=False).update(is_active=False)
    answer = ask(deployment, token)
    assert (answer.status_code, "is disabled" in answer.json()["error"]) == (401, True)


def test_no_token_a_wrong_one_and_a_session_are_refused(
    deployment: Deployment, token: str, dba: User, signed_in: Any
) -> None:
    none = ask(deployment, "")
    assert (none.status_code, none.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    wrong = ask(deployment, f"{token}x")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "This token is not known here.")
    assert Entry.objects.first().action == Action.TOKEN_REJECTED
    assert signed_in(dba).get(f"/api/deployments/{deployment.pk}/gate?stage=pre").status_code == 401


@pytest.mark.parametrize("name", api_authentication.IN_QUERY)
def test_a_token_in_the_address_is_refused_even_if_it_is_right(
    deployment: Deployment, token: str, name: str
) -> None:
    answer = ask(deployment, token, f"stage=pre&{name}={token}")
    assert (answer.status_code, "does not belong into an address" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    "address", ["/", "/deployments/", "/audit/", "/audit/export", "/tokens/", "/account/", "/live/"]
)
def test_a_token_opens_no_page(token: str, address: str) -> None:
    answer = Client().get(address, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in {302, 401, 404}
    assert answer.status_code != 302 or answer.headers["Location"].startswith("/account/login/")


def test_guessing_is_slowed_down(deployment: Deployment, token: str) -> None:
    for _ in range(api_authentication.MOST_REFUSALS):
        assert ask(deployment, "dctl_0000000000_guess").status_code == 401
    slowed = ask(deployment, token)
    assert (slowed.status_code, slowed.headers["Retry-After"]) == (429, "300")


def test_a_busy_pipeline_is_slowed_down(
    deployment: Deployment, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_authentication, "MOST_QUESTIONS", 2)
    assert [ask(deployment, token).status_code for _ in range(3)] == [200, 200, 429]


def test_what_there_is_not_is_said(deployment: Deployment, token: str) -> None:
    assert ask(deployment, token, "stage=later").status_code == 422
    assert ask(4711, token).status_code == 404
