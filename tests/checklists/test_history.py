"""The deployment history: filters, pages and the CSV export."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.models import Deployment, StateChange, TemplateVersion
from checklists.views.history import escape_formula
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from tests.checklists.factories import a_target, in_hours, plan


def csv_rows(response: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(response.content.decode())))


@pytest.fixture
def past(deployment: Deployment, dba: User) -> Deployment:
    """A closed deployment that took 90 minutes, with a formula as its title."""
    Deployment.objects.filter(pk=deployment.pk).update(state="closed", title="=cmd|' /C calc'!A1")
    now = timezone.now()
    for state, at in (("deploying", now), ("signed_off", now + timedelta(minutes=90))):
        change = StateChange.objects.create(deployment=deployment, to_state=state, by_name="test")
        StateChange.objects.filter(pk=change.pk).update(at=at)
    return deployment


def test_the_table_shows_outcome_and_duration(past: Deployment, viewer: User, signed_in: Any) -> None:
    page = signed_in(viewer).get("/history/").content.decode()
    assert "1 h 30 min" in page
    assert 'data-status="closed"' in page


@pytest.mark.parametrize(
    ("query", "is_listed"),
    [
        ({}, True),
        ({"target": "shop"}, True),
        ({"target": "other"}, False),
        ({"state": "closed"}, True),
        ({"state": "cancelled"}, False),
        ({"since": "2020-01-01"}, True),
        ({"until": "2020-01-01"}, False),
    ],
)
def test_filters_select_deployments(
    past: Deployment, viewer: User, signed_in: Any, query: dict[str, str], *, is_listed: bool
) -> None:
    a_target("other")
    page = signed_in(viewer).get("/history/", query).content.decode()
    assert (past.get_absolute_url() in page) == is_listed
    if not is_listed:
        assert "No deployment matches this filter." in page


def test_the_person_filter_finds_team_members(
    past: Deployment, dba: User, outsider: User, signed_in: Any
) -> None:
    browser = signed_in(dba)
    assert past.get_absolute_url() in browser.get("/history/", {"person": dba.pk}).content.decode()
    assert past.get_absolute_url() not in browser.get("/history/", {"person": outsider.pk}).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2030-01-02", "until": "2030-01-01"},
        {"since": "yesterday"},
        {"target": "nowhere"},
        {"person": "0"},
        {"state": "x"},
    ],
)
def test_an_invalid_filter_shows_an_error(
    past: Deployment, viewer: User, signed_in: Any, query: dict[str, str]
) -> None:
    response = signed_in(viewer).get("/history/", query)
    assert response.status_code == 422
    assert "field__error" in response.content.decode()


def test_an_empty_history_shows_a_message(db: None, viewer: User, signed_in: Any) -> None:
    assert "There are no deployments yet." in signed_in(viewer).get("/history/").content.decode()


def test_the_csv_contains_the_same_rows_without_formulas(
    past: Deployment, viewer: User, signed_in: Any
) -> None:
    response = signed_in(viewer).get("/history.csv", {"state": "closed"})
    head, row = csv_rows(response)
    assert response["Content-Disposition"] == 'attachment; filename="deployments.csv"'
    values = dict(zip(head, row, strict=True))
    assert values["Title"] == "'=cmd|' /C calc'!A1"
    assert values["Duration in minutes"] == "90"
    assert values["Team"].startswith("Dana Baker (Database Administrator)")


def test_an_invalid_filter_exports_no_csv(db: None, viewer: User, signed_in: Any) -> None:
    response = signed_in(viewer).get("/history.csv", {"state": "x"})
    assert response.status_code == 422
    assert "The filter isn&#x27;t valid, so nothing was exported. State:" in response.content.decode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_cells_that_look_like_formulas_are_escaped(start: str) -> None:
    assert escape_formula(f"{start}1+1") == f"'{start}1+1"
    assert escape_formula("plain") == "plain"


def test_a_long_history_is_paginated(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    for number in range(26):
        start = in_hours(24 + number * 3)
        plan(target, version, [(dba, "dba")], window_start=start, window_end=start + timedelta(hours=1))
    browser = signed_in(dba)
    assert "Page 1 of 2" in browser.get("/history/").content.decode()
    assert "Page 2 of 2" in browser.get("/history/", {"page": "2"}).content.decode()
    assert "Page 2 of 2" in browser.get("/history/", {"page": "4711"}).content.decode()
