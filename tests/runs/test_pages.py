"""Pages of targets, runs and backups: content, permissions and forms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from deployctl.accounts.models import User
from deployctl.audit import Machine
from deployctl.operations.framework.base import BackupArtefact
from deployctl.runs.models import Backup, Run, RunState, Target

SYSTEM = Machine("test")
SignedIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def _without_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployctl.runs.queue.enqueue", lambda _run_id: True)


def run_of(target: Target, kind: str = "sleep", **options: Any) -> Run:
    return Run.request(target=target, kind=kind, params={}, by=SYSTEM, **options)


def backed_up(target: Target) -> Run:
    run = run_of(target)
    run.claim(host="here", pid=1)
    artefact = BackupArtefact(
        name=f"{target.name}-1",
        path=target.backup_folder().root,
        format="directory",
        size_bytes=2048,
        files=3,
        server_version="15.7",
        tool_version="15.7",
        snapshot_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        manifest_sha256="0" * 64,
        counts={"public.Plan": 6},
    )
    run.succeed("Backed up.", {"bytes": 2048}, artefact)
    return run


@pytest.mark.parametrize(
    "address",
    ["/targets/", "/targets/shop/", "/targets/shop/recent", "/targets/shop/backups/", "/runs/", "/backups/"],
)
def test_a_viewer_sees_every_page_without_buttons(
    target: Target, viewer: User, signed_in: SignedIn, address: str
) -> None:
    backed_up(target)
    response = signed_in(viewer).get(address)

    assert response.status_code == 200
    assert "shop" in response.text
    assert 'name="kind"' not in response.text
    assert "button--danger" not in response.text


def test_anonymous_visitors_are_redirected_to_the_sign_in_page(target: Target, client: Client) -> None:
    assert client.get("/targets/shop/").status_code == 302
    assert client.get("/runs/").status_code == 302


def test_empty_pages_show_the_first_step(
    db: Any, administrator: User, viewer: User, signed_in: SignedIn
) -> None:
    assert "Add target" in signed_in(administrator).get("/targets/").text
    assert "An administrator can add the first one" in signed_in(viewer).get("/targets/").text
    assert "press “Back up”" in signed_in(viewer).get("/backups/").text


def test_starting_an_operation_redirects_to_its_run(target: Target, dba: User, signed_in: SignedIn) -> None:
    browser = signed_in(dba)
    assert 'value="sleep"' in browser.get("/targets/shop/").text

    response = browser.post("/targets/shop/runs", {"kind": "sleep", "seconds": "5", "where": "session"})

    run = Run.objects.get()
    assert (response.status_code, response["Location"]) == (303, f"/runs/{run.pk}/")
    assert run.params == {"seconds": 5, "where": "session"}


def test_a_second_request_shows_which_run_is_active(target: Target, dba: User, signed_in: SignedIn) -> None:
    run_of(target)
    browser = signed_in(dba)

    page = browser.post("/targets/shop/runs", {"kind": "sleep", "seconds": "5", "where": "session"})
    fragment = browser.post("/targets/shop/runs", {"kind": "change"}, headers={"HX-Request": "true"})

    assert (page.status_code, fragment.status_code) == (409, 409)
    assert "test started “Sleep” on shop" in page.text
    assert "hx-partial" in fragment.text
    assert "<html" not in fragment.text


@pytest.mark.parametrize("data", [{}, {"kind": "nothing"}, {"kind": "sleep", "seconds": "soon"}])
def test_invalid_input_is_reported(
    target: Target, dba: User, signed_in: SignedIn, data: dict[str, str]
) -> None:
    assert signed_in(dba).post("/targets/shop/runs", data).status_code == 422
    assert not Run.objects.exists()


def test_a_viewer_cannot_post(target: Target, viewer: User, signed_in: SignedIn) -> None:
    run = run_of(target)
    browser = signed_in(viewer)

    for address in (f"/runs/{run.pk}/cancellation", "/targets/shop/runs", "/targets/shop/connection"):
        assert browser.post(address).status_code == 403
    run.refresh_from_db()
    assert run.cancel_requested_at is None


def test_the_page_of_a_run_shows_steps_outcome_and_backup(
    target: Target, viewer: User, signed_in: SignedIn
) -> None:
    run = backed_up(target)
    page = signed_in(viewer).get(f"/runs/{run.pk}/")

    assert "Backed up." in page.text
    assert "shop-1" in page.text
    assert "Hashed" in page.text
    assert f'data-live-channels="run:{run.pk}"' in page.text
    for part in ("outcome", "steps", "progress"):
        fragment = signed_in(viewer).get(f"/runs/{run.pk}/parts/{part}").text
        assert f'hx-get="/runs/{run.pk}/parts/{part}"' in fragment
        assert f'hx-get="/runs/{run.pk}/parts/{part}"' in page.text
    assert signed_in(viewer).get(f"/runs/{run.pk}/parts/everything").status_code == 404


def test_the_facts_of_a_run_are_shown_with_labels(target: Target, viewer: User, signed_in: SignedIn) -> None:
    run = run_of(target)
    run.claim(host="here", pid=1)
    run.succeed("Looked.", {"rows_read": 6, "content_compared": True, "counts": {"public.Plan": 6}})

    page = signed_in(viewer).get(f"/runs/{run.pk}/").text

    assert '<dt>rows read</dt><dd class="break">6</dd>' in page
    assert '<dt>content compared</dt><dd class="break">yes</dd>' in page
    assert "public.Plan: 6" in page


def test_a_run_is_cancelled_from_its_page(target: Target, dba: User, signed_in: SignedIn) -> None:
    run = run_of(target)
    browser = signed_in(dba)
    response = browser.post(f"/runs/{run.pk}/cancellation", headers={"HX-Request": "true"})

    assert response.status_code == 200
    assert "Cancelled by Dana Baker before it started" in response.text
    assert "Start again" in response.text
    again = browser.post(f"/runs/{run.pk}/cancellation", headers={"HX-Request": "true"})
    assert again.status_code == 409


def test_an_unknown_run_asks_an_operator_for_a_decision(
    target: Target, dba: User, viewer: User, signed_in: SignedIn
) -> None:
    run = run_of(target, "change")
    run.claim(host="elsewhere", pid=1)
    run.mark_lost("The worker on elsewhere was lost.")
    assert "Record outcome" not in signed_in(viewer).get(f"/runs/{run.pk}/").text
    browser = signed_in(dba)
    assert "Record outcome" in browser.get(f"/runs/{run.pk}/").text

    missing = browser.post(f"/runs/{run.pk}/decision", {"outcome": "failed"})
    decided = browser.post(
        f"/runs/{run.pk}/decision", {"outcome": "failed", "note": "The table is not there."}
    )

    assert (missing.status_code, decided.status_code) == (422, 303)
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert "The table is not there." in browser.get(f"/runs/{run.pk}/").text


def test_production_has_no_buttons_for_changes(
    db: Any, kinds: None, add_target: Callable[..., Target], dba: User, signed_in: SignedIn
) -> None:
    add_target("live", "production")
    text = signed_in(dba).get("/targets/live/").text

    assert 'value="sleep"' in text
    assert 'value="change"' not in text
    assert "Start it from a deployment whose first gate is signed." in text


def test_the_connection_check_shows_its_result_at_once(
    target: Target, dba: User, signed_in: SignedIn
) -> None:
    response = signed_in(dba).post("/targets/shop/connection", headers={"HX-Request": "true"})

    assert response.status_code == 200
    assert "PostgreSQL" in response.text
    assert target.spec().password not in response.text
    target.refresh_from_db()
    assert target.database_oid is not None


def test_a_different_database_under_the_same_name_is_detected(
    target: Target, dba: User, signed_in: SignedIn
) -> None:
    Target.objects.filter(pk=target.pk).update(system_identifier="1", database_oid=1)
    response = signed_in(dba).post("/targets/shop/connection", headers={"HX-Request": "true"})

    assert "the database that was first recorded" in response.text


def test_an_unreachable_target_shows_the_reason(
    db: Any, secret_file: Callable[[str], str], dba: User, signed_in: SignedIn
) -> None:
    reference = secret_file("postgresql://nobody:secret-word@127.0.0.1:1/nothing")
    Target.add(name="gone", environment="staging", connection_reference=reference, by=SYSTEM)
    response = signed_in(dba).post("/targets/gone/connection", headers={"HX-Request": "true"})

    assert "127.0.0.1" in response.text
    assert "secret-word" not in response.text


def test_an_administrator_adds_and_edits_a_target(
    db: Any, administrator: User, dba: User, secret_file: Callable[[str], str], signed_in: SignedIn
) -> None:
    browser = signed_in(administrator)
    reference = secret_file("postgresql://owner:word@localhost/shop")
    facts = {"environment": "staging", "connection_reference": reference}

    refused = browser.post("/targets/new", {**facts, "name": "New Shop"})
    pasted = browser.post(
        "/targets/new",
        {**facts, "name": "shop", "connection_reference": "postgresql://owner:word@localhost/shop"},
    )
    added = browser.post("/targets/new", {**facts, "name": "shop"})
    assert (refused.status_code, pasted.status_code, added.status_code) == (422, 422, 303)
    assert "not the secret itself" in pasted.text

    changed = browser.post("/targets/shop/settings", {**facts, "environment": "production"})
    browser.post("/targets/shop/roles", {"user": dba.pk, "role": "dba"})
    browser.post("/targets/shop/secrets", {"name": "ADMIN_DEFAULT_PASSWORD", "reference": "env:ADMIN_WORD"})
    assert changed.status_code == 303
    target = Target.objects.get()
    assert target.environment == "production"
    assert target.role_holders("dba") == [dba]
    page = browser.get("/targets/shop/settings").text
    assert "env:ADMIN_WORD" in page

    browser.post(f"/targets/shop/roles/{target.role_assignments.get().pk}", {"_method": "DELETE"})
    browser.post("/targets/shop/secrets/ADMIN_DEFAULT_PASSWORD", {"_method": "DELETE"})
    assert target.role_holders("dba") == []
    assert not target.secrets.exists()

    assert browser.post("/targets/shop/archival").status_code == 303
    assert 'href="/targets/shop/"' not in browser.get("/targets/").text
    assert "Archived" in browser.get("/targets/shop/").text


def test_the_whole_log_can_be_searched(target: Target, viewer: User, signed_in: SignedIn) -> None:
    from deployctl.runs.execution.log import add_line

    run = run_of(target)
    run.claim(host="here", pid=1)
    add_line(run, "dumping table plans", "info")
    Run.objects.get(pk=run.pk)
    run.fail("It broke.")
    browser = signed_in(viewer)

    assert "dumping" in browser.get(f"/runs/{run.pk}/log?find=PLANS").text
    assert "No line contains this text" in browser.get(f"/runs/{run.pk}/log?find=users").text


@pytest.mark.parametrize("address", ["/targets/", "/targets/shop/", "/runs/", "/backups/"])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    target: Target, dba: User, signed_in: SignedIn, address: str, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        run = backed_up(target)
        Backup.objects.filter(run=run).update(name=f"shop-of-run-{run.pk}")
    browser = signed_in(dba)

    with django_assert_max_num_queries(15):
        browser.get(address)


def test_a_backup_shows_its_trust_and_its_operations(target: Target, dba: User, signed_in: SignedIn) -> None:
    run = backed_up(target)
    text = signed_in(dba).get("/backups/").text

    assert f'<a href="/runs/{run.pk}/">run {run.pk}</a>' in text
    for kind in ("verify", "test_restore", "restore"):
        assert f'<input type="hidden" name="kind" value="{kind}">' in text
    assert text.count('name="backup" value="shop-1"') == 3
    assert "never" in text

    answer = signed_in(dba).post("/targets/shop/runs", {"kind": "verify", "backup": "shop-1"})
    assert answer.status_code == 303
    assert Run.objects.get(kind="verify").params == {"backup": "shop-1"}


def test_restoring_production_needs_its_name_and_a_second_person(
    db: Any, kinds: None, add_target: Callable[..., Target], dba: User, signed_in: SignedIn
) -> None:
    backed_up(add_target(environment="production"))
    browser = signed_in(dba)

    text = browser.get("/backups/").text

    assert text.count('name="typed_name"') == 1  # not for read-only operations
    assert "The operation starts when another operator consents." in text
    posted = {"kind": "restore", "backup": "shop-1"}
    assert browser.post("/targets/shop/runs", posted).status_code == 422
    assert browser.post("/targets/shop/runs", {**posted, "typed_name": "shop"}).status_code == 303
    assert Run.objects.get(kind="restore").state == RunState.WAITING
