"""The pages of the audit log: pagination, filters, export."""

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
from signoff.verifier import audit_export
from signoff.views import audit as page
from tests.checklists import factories
from tests.signoff.signing import MACHINE


@pytest.fixture
def approver_client(cto: User, signed_in: Any) -> Client:
    client: Client = signed_in(cto)
    return client


def numbers(response: Any) -> list[int]:
    return [int(number) for number in re.findall(r'id="entry-(\d+)"', response.text)]


def test_pages_do_not_shift_while_entries_are_added(
    approver_client: Client, dba: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PER_PAGE", 3)
    created = [audit.append(Action.ITEM_COMPLETED, by=dba, data={"n": n}).sequence for n in range(8)]
    newest_first = created[::-1]
    first = approver_client.get("/audit/?action=item.")
    assert numbers(first) == newest_first[:3]
    assert f"before={newest_first[2]}" in first.text
    assert "after=" not in first.text
    audit.append(Action.ITEM_COMPLETED, by=dba)
    second = approver_client.get(f"/audit/?action=item.&before={newest_first[2]}")
    assert numbers(second) == newest_first[3:6]
    assert "?action=item.&amp;after=" in second.text
    last = approver_client.get(f"/audit/?action=item.&before={newest_first[5]}")
    assert numbers(last) == newest_first[6:]
    assert "before=" not in last.text.partition('class="pagination"')[2]
    assert numbers(approver_client.get(f"/audit/?action=item.&after={newest_first[6]}")) == newest_first[3:6]


def test_a_page_does_not_count_all_entries(
    approver_client: Client, dba: User, django_assert_max_num_queries: Any
) -> None:
    approver_client.get("/audit/")
    with django_assert_max_num_queries(20) as queries:
        approver_client.get("/audit/?action=item.")
    assert not any(
        "COUNT(" in query["sql"] for query in queries.captured_queries if "audit_entry" in query["sql"]
    )


def test_filtering_by_target_includes_its_deployments_and_runs(
    approver_client: Client, deployment: Deployment
) -> None:
    other = factories.a_target("depot")
    audit.append(Action.TARGET_EDITED, by=MACHINE, subject=other)
    of_shop = numbers(approver_client.get("/audit/?target=shop"))
    of_deployment = numbers(approver_client.get(f"/audit/?deployment={deployment.pk}"))
    assert set(of_deployment) < set(of_shop)
    shown = Entry.objects.filter(sequence__in=of_shop)
    assert {entry.subject for entry in shown if entry.subject_type == "runs.target"} == {"shop"}


def test_filtered_entries_can_be_exported_and_verified(
    approver_client: Client, deployment: Deployment, cto: User
) -> None:
    response = approver_client.get(f"/audit/export?deployment={deployment.pk}")
    content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert "attachment" in response.headers["Content-Disposition"]
    finding = audit_export.verify(content.splitlines(keepends=True), [signing_keys.public_key()])
    assert finding.problems == []
    assert finding.facts["entries"] == Entry.objects.of_deployment(deployment.pk).count()
    entry = Entry.objects.first()
    assert (entry.action, entry.actor_name) == (Action.AUDIT_EXPORTED, cto.name)


def test_an_invalid_filter_exports_nothing(approver_client: Client) -> None:
    assert approver_client.get("/audit/export?since=never").status_code == 422
    assert not Entry.objects.filter(action=Action.AUDIT_EXPORTED).exists()


@pytest.mark.parametrize("day", ["31.12.2026x", "2026-02-30", "never"])
def test_an_invalid_date_is_reported_and_stays_in_the_form(approver_client: Client, day: str) -> None:
    response = approver_client.get("/audit/", {"since": day, "subject": "shop", "until": "2026-03-01"})

    assert response.status_code == 422
    assert f"“{day}” isn&#x27;t a valid date. Use YYYY-MM-DD." in response.text
    assert "No entries match" not in response.text
    # A browser would show a calendar empty.
    assert f'<input type="text" name="since" value="{day}"' in response.text
    assert '<input type="date" name="until" value="2026-03-01"' in response.text
    assert 'name="subject" value="shop"' in response.text


def test_a_period_that_ends_before_it_begins_is_rejected(approver_client: Client) -> None:
    reversed_ = {"since": "2026-12-01", "until": "2026-01-01"}
    response = approver_client.get("/audit/", reversed_)

    assert response.status_code == 422
    assert "The end date must not be before the start date." in response.text
    assert "No entries match" not in response.text
    assert approver_client.get("/audit/export", reversed_).status_code == 422


def test_a_date_without_zeros_stays_visible_in_the_form(approver_client: Client) -> None:
    response = approver_client.get("/audit/", {"since": "2026-1-5"})

    assert response.status_code == 200
    # A browser would show an empty date field although the filter applies.
    assert '<input type="text" name="since" value="2026-1-5"' in response.text


def test_a_filter_without_matches_shows_a_message(approver_client: Client) -> None:
    response = approver_client.get("/audit/", {"since": "2001-01-01", "until": "2001-01-02"})
    assert response.status_code == 200
    assert "No entries match this filter" in response.text
