"""API tokens: creation, revocation and validation."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from deployctl.accounts.models import ApiToken, User
from deployctl.accounts.models.api_token import Scope
from deployctl.accounts.testing import sign_in
from deployctl.audit import Action
from deployctl.audit.models import Entry
from deployctl.errors import InvalidInput, Refusal


@pytest.fixture
def admin_client(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def make(admin_client: Client) -> str:
    response = admin_client.post("/tokens/new/", {"name": "Pipeline", "scopes": ["gate:pre"], "days": 30})
    found = re.search(r'id="token-text">(dctl_\w+_[\w-]+)<', response.text)
    assert found, response.text
    return found.group(1)


def test_a_token_is_shown_once_and_stored_as_a_hash(admin_client: Client) -> None:
    text = make(admin_client)
    secret = text.split("_", 2)[2]
    row = ApiToken.objects.get()
    assert ApiToken.objects.authenticate(text) == row
    assert secret not in {row.hash, row.prefix, row.name}
    page = admin_client.get("/tokens/").text
    assert (row.prefix in page, secret in page) == (True, False)
    entry = Entry.objects.get(action=Action.TOKEN_CREATED)
    assert secret not in str(entry.data)


def test_creating_a_token_requires_a_step_up(administrator: User) -> None:
    client = Client()
    current = sign_in(client, administrator)
    type(current).objects.filter(pk=current.pk).update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    response = client.post("/tokens/new/", {"name": "Pipeline", "scopes": ["gate:pre"], "days": 30})
    assert response.headers["Location"].startswith("/account/step-up/")
    assert not ApiToken.objects.exists()


def test_a_revoked_token_stays_listed_and_is_revoked_once(admin_client: Client, administrator: User) -> None:
    make(admin_client)
    row = ApiToken.objects.get()
    admin_client.post(f"/tokens/{row.pk}/", {"_method": "DELETE"})
    row.refresh_from_db()
    assert "was revoked" in row.invalid_reason
    assert "Inactive" in admin_client.get("/tokens/").text
    with pytest.raises(Refusal):
        row.revoke(by=administrator)
    assert Entry.objects.filter(action=Action.TOKEN_REVOKED).count() == 1


@pytest.mark.parametrize(
    "changes", [{"name": " "}, {"scopes": []}, {"scopes": ["everything"]}, {"days": 0}, {"days": 5000}]
)
def test_invalid_values_create_no_token(administrator: User, changes: dict[str, object]) -> None:
    form: dict[str, object] = {"name": "Pipeline", "scopes": [Scope.GATE_PRE], "days": 30}
    with pytest.raises(InvalidInput):
        ApiToken.objects.issue(by=administrator, **(form | changes))  # type: ignore[arg-type]
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("text", ["", "dctl", "dctl__", "other_ab_cd", "dctl_ab_cd"])
def test_invalid_token_texts_are_not_found(administrator: User, text: str) -> None:
    ApiToken.objects.issue(by=administrator, name="Pipeline", scopes=[Scope.GATE_PRE], days=1)
    assert ApiToken.objects.authenticate(text) is None
