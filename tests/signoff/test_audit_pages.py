"""The audit log as a page: neighbouring pages, targets, export."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from checklists.models import Deployment
from deployctl import audit
from deployctl.accounts.models import User
from deployctl.audit import Action, signing_keys
from deployctl.audit.models import Entry
from signoff.verifier import lines
from signoff.views import audit as page
from tests.checklists import deployments
from tests.signoff.signing import MACHINE


@pytest.fixture
def office(cto: User, signed_in: Any) -> Client:
    browser: Client = signed_in(cto)
    return browser


def numbers(answer: Any) -> list[int]:
    return [int(number) for number in re.findall(r'id="entry-(\d+)"', answer.text)]


def test_pages_go_on_from_an_entry_and_hold_their_place(
    office: Client, dba: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PER_PAGE", 3)
    made = [audit.append(Action.ITEM_COMPLETED, by=dba, data={"n": n}).sequence for n in range(8)]
    newest_first = made[::-1]
    first = office.get("/audit/?action=item.")
    assert numbers(first) == newest_first[:3]
    assert f"before={newest_first[2]}" in first.text
    assert "after=" not in first.text
    audit.append(Action.ITEM_COMPLETED, by=dba)
    second = office.get(f"/audit/?action=item.&before={newest_first[2]}")
    assert numbers(second) == newest_first[3:6]
    assert "?action=item.&amp;after=" in second.text
    last = office.get(f"/audit/?action=item.&before={newest_first[5]}")
    assert numbers(last) == newest_first[6:]
    assert "before=" not in last.text.partition('class="pagination"')[2]
    assert numbers(office.get(f"/audit/?action=item.&after={newest_first[6]}")) == newest_first[3:6]


def test_a_page_counts_nothing(office: Client, dba: User, django_assert_max_num_queries: Any) -> None:
    office.get("/audit/")
    with django_assert_max_num_queries(20) as asked:
        office.get("/audit/?action=item.")
    assert not any(
        "COUNT(" in query["sql"] for query in asked.captured_queries if "audit_entry" in query["sql"]
    )


def test_a_target_means_its_deployments_runs_and_itself(office: Client, deployment: Deployment) -> None:
    other = deployments.a_target("depot")
    audit.append(Action.TARGET_EDITED, by=MACHINE, subject=other)
    of_shop = numbers(office.get("/audit/?target=shop"))
    of_deployment = numbers(office.get(f"/audit/?deployment={deployment.pk}"))
    assert set(of_deployment) < set(of_shop)
    shown = Entry.objects.filter(sequence__in=of_shop)
    assert {entry.subject for entry in shown if entry.subject_type == "runs.target"} == {"shop"}


def test_what_is_shown_can_be_exported_and_verifies(
    office: Client, deployment: Deployment, cto: User
) -> None:
    answer = office.get(f"/audit/export?deployment={deployment.pk}")
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert "attachment" in answer.headers["Content-Disposition"]
    finding = lines.verify(content.splitlines(keepends=True), [signing_keys.public_key()])
    assert finding.problems == []
    assert finding.facts["entries"] == Entry.objects.of_deployment(deployment.pk).count()
    entry = Entry.objects.first()
    assert (entry.action, entry.actor_name) == (Action.AUDIT_EXPORTED, cto.name)


def test_a_filter_that_makes_no_sense_exports_nothing(office: Client) -> None:
    assert office.get("/audit/export?since=never").status_code == 422
    assert not Entry.objects.filter(action=Action.AUDIT_EXPORTED).exists()


@pytest.mark.parametrize("day", ["31.12.2026x", "2026-02-30", "never"])
def test_of_a_day_that_is_none_only_that_is_said_and_it_stays_in_the_form(office: Client, day: str) -> None:
    answer = office.get("/audit/", {"since": day, "subject": "shop", "until": "2026-03-01"})

    assert answer.status_code == 422
    assert f"“{day}” isn&#x27;t a valid date. Use YYYY-MM-DD." in answer.text
    assert "No entry fits" not in answer.text
    # A browser would show a calendar empty.
    assert f'<input type="text" name="since" value="{day}"' in answer.text
    assert '<input type="date" name="until" value="2026-03-01"' in answer.text
    assert 'name="subject" value="shop"' in answer.text


def test_a_period_that_ends_before_it_begins_is_refused_and_not_exported(office: Client) -> None:
    reversed_ = {"since": "2026-12-01", "until": "2026-01-01"}
    answer = office.get("/audit/", reversed_)

    assert answer.status_code == 422
    assert "The end date must not be before the start date." in answer.text
    assert "No entry fits" not in answer.text
    assert office.get("/audit/export", reversed_).status_code == 422


def test_a_day_written_short_stays_to_be_seen(office: Client) -> None:
    answer = office.get("/audit/", {"since": "2026-1-5"})

    assert answer.status_code == 200
    # A browser would show a calendar empty, though the filter is in force.
    assert '<input type="text" name="since" value="2026-1-5"' in answer.text


def test_a_filter_that_lets_nothing_through_says_so(office: Client) -> None:
    answer = office.get("/audit/", {"since": "2001-01-01", "until": "2001-01-02"})
    assert answer.status_code == 200
    assert "No entry fits this filter" in answer.text
