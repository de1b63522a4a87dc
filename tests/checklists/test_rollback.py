"""The way back: what the page of a deployment offers while it rolls back, and what its run rests on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checklists.models import Deployment, StateChange
from deployctl.accounts.models import SignIn, User
from deployctl.errors import InvalidInput, NotAllowed, Refusal
from deployctl.operations.framework.base import PGBACKREST, BackupArtefact, Outcome
from deployctl.runs.execution.backup_catalog import RunBackupCatalog
from deployctl.runs.models import Backup, BackupTrust, Run, RunState, Target, Trust
from deployctl.runs.preconditions import check_claim
from tests.checklists import factories
from tests.checklists.factories import MACHINE, finish

SignedIn = Callable[..., Client]


def put(deployment: Deployment, state: str) -> None:
    Deployment.objects.filter(pk=deployment.pk).update(state=state)


def back_up(deployment: Deployment, name: str, taken_at: dt.datetime) -> Backup:
    target = deployment.target
    run = Run.request(target=target, kind="backup", params={}, by=MACHINE)
    finish(run, RunState.SUCCEEDED)
    return Backup.record(
        run,
        BackupArtefact(
            name=name,
            path=target.backup_folder().root,
            format="directory",
            size_bytes=2048,
            files=3,
            server_version="15.7",
            tool_version="15.7",
            snapshot_at=taken_at,
            manifest_sha256="0" * 64,
            counts={},
        ),
    )


@pytest.fixture
def rolling_back(deployment: Deployment) -> Deployment:
    """Rolling back, begun an hour ago, with backups from before and after; one restore was measured."""
    begun = timezone.now() - dt.timedelta(hours=1)
    StateChange.objects.create(deployment=deployment, to_state="deploying", by_name="test")
    StateChange.objects.filter(deployment=deployment, to_state="deploying").update(at=begun)
    for name, minutes in (("shop-old", -120), ("shop-before", -5), ("shop-after", 5)):
        back_up(deployment, name, begun + dt.timedelta(minutes=minutes))
    proof = Run.request(target=deployment.target, kind="test_restore", params={}, by=MACHINE)
    finish(proof, RunState.SUCCEEDED)
    Run.objects.filter(pk=proof.pk).update(facts={"restore_s": 754.0})
    BackupTrust.objects.create(backup=Backup.objects.get(name="shop-before"), level=Trust.RESTORED, run=proof)
    put(deployment, "rolling_back")
    return Deployment.objects.get(pk=deployment.pk)


def ask(deployment: Deployment, by: Any, **changes: Any) -> Run:
    facts = {"params": {"backup": "shop-before"}, "typed_name": "shop", **changes}
    return deployment.request_rollback(by, **facts)


def test_the_page_offers_it_with_the_backup_from_before_and_its_measured_time(
    rolling_back: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    browser, address = signed_in(dba), f"/deployments/{rolling_back.pk}/rollback/runs"
    page = browser.get(rolling_back.get_absolute_url()).text
    assert '<option value="shop-before" selected>' in page
    assert page.index('label="Taken before the deployment started"') < page.index("shop-old")
    assert page.index('label="Taken later"') < page.index("shop-after")
    assert "shop-before</span> took 12 min 34 s last time" in page

    given = {"backup": "shop-before", "jobs": "2", "migration": "2_two"}
    wrong = browser.post(address, {**given, "typed_name": "Shop"})
    asked = browser.post(address, {**given, "typed_name": "shop"})
    run = Run.objects.get(kind="rollback")
    assert (wrong.status_code, asked.status_code, asked["Location"]) == (422, 303, f"/runs/{run.pk}/")
    assert (run.state, run.authority) == (RunState.WAITING, rolling_back.authority)
    assert (run.params["backup"], run.params["migration"]) == ("shop-before", "2_two")

    assert "restored in 12 min 34 s the last time" in signed_in(devops_lead).get(f"/runs/{run.pk}/").text
    page = browser.get(rolling_back.get_absolute_url()).text
    assert f'<a href="/runs/{run.pk}/">Roll back</a>' in page
    assert f'action="{address}"' not in page  # one at a time
    run.consent(by=devops_lead, typed_name="shop")
    run.claim(host="here", pid=1)
    check_claim(run)
    run.fail("The rollback stopped at the restore.")
    page = browser.get(rolling_back.get_absolute_url()).text
    assert "The rollback stopped at the restore." in page
    assert f'action="{address}"' in page


def test_a_physical_backup_is_not_among_those_to_roll_back_to(
    rolling_back: Deployment, dba: User, signed_in: SignedIn
) -> None:
    Backup.objects.filter(name="shop-before").update(engine=PGBACKREST)

    page = signed_in(dba).get(rolling_back.get_absolute_url()).text

    assert 'value="shop-before"' not in page
    assert '<option value="shop-old" selected>' in page


def test_what_somebody_uploaded_is_not_proposed_and_says_where_it_comes_from(
    rolling_back: Deployment, dba: User, signed_in: SignedIn
) -> None:
    Backup.objects.filter(name="shop-before").update(uploaded_from="staging.dump")

    page = signed_in(dba).get(rolling_back.get_absolute_url()).text

    assert '<option value="shop-old" selected>' in page
    assert "uploaded by test from staging.dump: shop-before" in page


def test_what_is_rolled_back_is_on_the_way_to_no_gate(
    rolling_back: Deployment, viewer: User, signed_in: SignedIn
) -> None:
    browser = signed_in(viewer)
    for address in ("/", "/deployments/"):
        text = browser.get(address).text
        assert rolling_back.title in text
        assert 'data-status="go"' not in text


def test_without_a_fresh_code_no_rollback_is_asked_for(
    rolling_back: Deployment, dba: User, signed_in: SignedIn
) -> None:
    browser = signed_in(dba)
    SignIn.objects.update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    posted = {"backup": "shop-before", "typed_name": "shop"}
    answer = browser.post(f"/deployments/{rolling_back.pk}/rollback/runs", posted)
    assert (answer.status_code, answer["Location"]) == (302, "/account/step-up/")
    assert not Run.objects.filter(kind="rollback").exists()


@pytest.mark.parametrize("state", ["deploying", "halted", "rolled_back", "signed_off"])
def test_it_has_its_turn_only_while_the_deployment_rolls_back(
    rolling_back: Deployment, dba: User, devops_lead: User, signed_in: SignedIn, state: str
) -> None:
    run = ask(rolling_back, dba)
    run.consent(by=devops_lead, typed_name="shop")
    run.claim(host="here", pid=1)
    put(rolling_back, state)
    with pytest.raises(Refusal, match="The rollback was not started"):
        check_claim(run)
    run.fail("x")
    with pytest.raises(Refusal, match="halt it and start its rollback first"):
        ask(rolling_back, dba)
    assert "rollback/runs" not in signed_in(dba).get(rolling_back.get_absolute_url()).text


def test_it_needs_an_operator_and_a_backup(
    rolling_back: Deployment, dba: User, qa_lead: User, cto: User, signed_in: SignedIn
) -> None:
    for somebody in (qa_lead, cto):
        with pytest.raises(NotAllowed):
            ask(rolling_back, somebody)
        assert "rollback/runs" not in signed_in(somebody).get(rolling_back.get_absolute_url()).text
    with pytest.raises(InvalidInput, match="requires the parameter backup"):
        ask(rolling_back, dba, params={})
    assert not Run.objects.filter(kind="rollback").exists()


def test_a_rollback_that_waits_or_runs_is_not_done(
    rolling_back: Deployment, dba: User, devops_lead: User
) -> None:
    run = ask(rolling_back, dba)
    with pytest.raises(Refusal, match=rf"Run {run.pk} \(rollback\) is waiting for a second person"):
        rolling_back.finish_rollback(dba, "It is as it was.")
    run.object(by=devops_lead, reason="Wrong backup.")
    rolling_back.finish_rollback(dba, "It is as it was.")
    assert rolling_back.state == "rolled_back"


def test_who_is_in_the_way_is_named(rolling_back: Deployment, dba: User, devops_lead: User) -> None:
    backup = Run.request(target=rolling_back.target, kind="backup", params={}, by=dba)
    run = ask(rolling_back, dba)  # it waits, and keeps out nobody but another one that waits
    told = rf"The rollback was not started: Dana Baker started run {run.pk} \(rollback\)"
    with pytest.raises(Refusal, match=told):
        ask(rolling_back, devops_lead)
    run.cancel(by=dba)

    Target.objects.filter(pk=rolling_back.target_id).update(environment="staging")
    with pytest.raises(Refusal, match=rf"Dana Baker started run {backup.pk} \(backup\)"):
        ask(rolling_back, dba)
    backup.cancel(by=dba)
    assert ask(rolling_back, dba).state == RunState.QUEUED


def test_an_item_whose_operation_needs_a_second_person_asks_for_the_name(
    dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn
) -> None:
    source = factories.SMALL.replace("operation: migrate", "operation: restore")
    planned = factories.plan(
        factories.a_target("live"),
        factories.published(source, "restoring"),
        factories.team_of(dba, devops_lead, qa_lead),
    )
    put(planned, "deploying")
    for name, hours in (("live-1", -2), ("live-2", -1)):
        back_up(planned, name, timezone.now() + dt.timedelta(hours=hours))
    checklist_item = factories.item(planned, "Migrations")
    browser = signed_in(dba)
    address = f"{checklist_item.get_absolute_url()}runs"
    assert f'action="{address}"' not in browser.get(planned.get_absolute_url()).text
    assert 'name="typed_name"' in browser.get(checklist_item.get_absolute_url()).text

    assert browser.post(address).status_code == 422
    assert browser.post(address, {"typed_name": "live"}).status_code == 303
    run = Run.objects.get(kind="restore")
    assert (run.state, run.params["backup"]) == (RunState.WAITING, "live-2"), "chosen now, not at the start"
    run.consent(by=devops_lead, typed_name="live")
    run.claim(host="here", pid=1)
    check_claim(run)


def test_a_part_of_a_run_locks_deployments_before_it_appends_to_the_audit_chain(
    rolling_back: Deployment,
) -> None:
    run = Run.request(target=rolling_back.target, kind="test_restore", params={}, by=MACHINE)
    run.claim(host="here", pid=1)
    backup_catalog = RunBackupCatalog(run, lambda write: write())

    with CaptureQueriesContext(connection) as queries:
        backup_catalog.record_outcome(Outcome("Proven.", trust={"shop-old": ["restored"]}))

    said = [query["sql"] for query in queries.captured_queries]
    locked = next(n for n, sql in enumerate(said) if "checklists_deployment" in sql and "FOR NO KEY" in sql)
    appended = next(n for n, sql in enumerate(said) if "pg_advisory_xact_lock" in sql)
    assert locked < appended
