"""The history: filters, pages, and the table for other programs."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from checklists.models import Deployment, StateChange, TemplateVersion
from checklists.views.history import harmless
from deployctl.accounts.models import User
from deployctl.runs.models import Target
from tests.checklists.factories import a_target, in_hours, plan


def rows_of(answer: Any) -> list[list[str]]:
    text = answer.content.decode()
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def past(deployment: Deployment, dba: User) -> Deployment:
    """A deployment that took ninety minutes."""
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
    ("query", "found"),
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
def test_filters(
    past: Deployment, viewer: User, signed_in: Any, query: dict[str, str], *, found: bool
) -> None:
    a_target("other")
    page = signed_in(viewer).get("/history/", query).content.decode()
    assert (past.get_absolute_url() in page) == found
    if not found:
        assert "No deployment fits this filter." in page


def test_by_person_means_team_or_planner(past: Deployment, dba: User, outsider: User, signed_in: Any) -> None:
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
def test_a_filter_that_makes_no_sense_says_so(
    past: Deployment, viewer: User, signed_in: Any, query: dict[str, str]
) -> None:
    answer = signed_in(viewer).get("/history/", query)
    assert answer.status_code == 422
    assert "field__error" in answer.content.decode()


def test_an_empty_history_says_so(db: None, viewer: User, signed_in: Any) -> None:
    assert "There is no deployment yet." in signed_in(viewer).get("/history/").content.decode()


def test_the_csv_holds_the_same_and_no_formulas(past: Deployment, viewer: User, signed_in: Any) -> None:
    answer = signed_in(viewer).get("/history.csv", {"state": "closed"})
    head, row = rows_of(answer)
    assert answer["Content-Disposition"] == 'attachment; filename="deployments.csv"'
    values = dict(zip(head, row, strict=True))
    assert values["Title"] == "'=cmd|' /C calc'!A1"
    assert values["Duration in minutes"] == "90"
    assert values["Team"].startswith("Dana Baker (Database Administrator)")


def test_a_csv_by_a_filter_that_makes_no_sense_is_refused(db: None, viewer: User, signed_in: Any) -> None:
    answer = signed_in(viewer).get("/history.csv", {"state": "x"})
    assert answer.status_code == 422
    assert "The filter cannot be used, so there is no table. State:" in answer.content.decode()


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_whatever_begins_like_a_formula_is_defused(start: str) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless("plain") == "plain"


def test_long_histories_have_pages(
    target: Target, version: TemplateVersion, dba: User, signed_in: Any
) -> None:
    for number in range(26):
        start = in_hours(24 + number * 3)
        plan(target, version, [(dba, "dba")], window_start=start, window_end=start + timedelta(hours=1))
    browser = signed_in(dba)
    assert "Page 1 of 2" in browser.get("/history/").content.decode()
    assert "Page 2 of 2" in browser.get("/history/", {"page": "2"}).content.decode()
    assert "Page 2 of 2" in browser.get("/history/", {"page": "4711"}).content.decode()
