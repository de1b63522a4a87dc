"""API tokens: made by administrators, shown once, opening nothing but their scopes."""

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
def office(administrator: User) -> Client:
    client = Client()
    sign_in(client, administrator)
    return client


def make(office: Client) -> str:
    answer = office.post("/tokens/new/", {"name": "Pipeline", "scopes": ["gate:pre"], "days": 30})
    found = re.search(r'id="token-text">(dctl_\w+_[\w-]+)<', answer.text)
    assert found, answer.text
    return found.group(1)


def test_a_token_is_shown_once_and_only_its_hash_is_kept(office: Client) -> None:
    text = make(office)
    secret = text.split("_", 2)[2]
    row = ApiToken.objects.get()
    assert ApiToken.objects.authenticate(text) == row
    assert secret not in {row.hash, row.prefix, row.name}
    page = office.get("/tokens/").text
    assert (row.prefix in page, secret in page) == (True, False)
    entry = Entry.objects.get(action=Action.TOKEN_CREATED)
    assert secret not in str(entry.data)


def test_making_one_asks_for_a_fresh_code(administrator: User) -> None:
    client = Client()
    stay = sign_in(client, administrator)
    type(stay).objects.filter(pk=stay.pk).update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    answer = client.post("/tokens/new/", {"name": "Pipeline", "scopes": ["gate:pre"], "days": 30})
    assert answer.headers["Location"].startswith("/account/step-up/")
    assert not ApiToken.objects.exists()


def test_a_revoked_token_stays_on_the_list_and_is_revoked_once(office: Client, administrator: User) -> None:
    make(office)
    row = ApiToken.objects.get()
    office.post(f"/tokens/{row.pk}/", {"_method": "DELETE"})
    row.refresh_from_db()
    assert "was revoked" in row.invalid_reason
    assert "Ended" in office.get("/tokens/").text
    with pytest.raises(Refusal):
        row.revoke(by=administrator)
    assert Entry.objects.filter(action=Action.TOKEN_REVOKED).count() == 1


@pytest.mark.parametrize(
    "changes", [{"name": " "}, {"scopes": []}, {"scopes": ["everything"]}, {"days": 0}, {"days": 5000}]
)
def test_what_makes_no_sense_makes_no_token(administrator: User, changes: dict[str, object]) -> None:
    given: dict[str, object] = {"name": "Pipeline", "scopes": [Scope.GATE_PRE], "days": 30}
    with pytest.raises(InvalidInput):
        ApiToken.objects.issue(by=administrator, **(given | changes))  # type: ignore[arg-type]
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("text", ["", "dctl", "dctl__", "other_ab_cd", "dctl_ab_cd"])
def test_what_is_no_token_is_not_known(administrator: User, text: str) -> None:
    ApiToken.objects.issue(by=administrator, name="Pipeline", scopes=[Scope.GATE_PRE], days=1)
    assert ApiToken.objects.authenticate(text) is None
