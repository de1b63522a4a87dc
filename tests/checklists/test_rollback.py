"""Rollbacks: the form on the deployment's page, and the preconditions of rollback runs."""

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


def set_state(deployment: Deployment, state: str) -> None:
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
    """A deployment that began an hour ago and rolls back, with earlier and later backups."""
    begun = timezone.now() - dt.timedelta(hours=1)
    StateChange.objects.create(deployment=deployment, to_state="deploying", by_name="test")
    StateChange.objects.filter(deployment=deployment, to_state="deploying").update(at=begun)
    for name, minutes in (("shop-old", -120), ("shop-before", -5), ("shop-after", 5)):
        back_up(deployment, name, begun + dt.timedelta(minutes=minutes))
    proof = Run.request(target=deployment.target, kind="test_restore", params={}, by=MACHINE)
    finish(proof, RunState.SUCCEEDED)
    Run.objects.filter(pk=proof.pk).update(facts={"restore_s": 754.0})
    BackupTrust.objects.create(backup=Backup.objects.get(name="shop-before"), level=Trust.RESTORED, run=proof)
    set_state(deployment, "rolling_back")
    return Deployment.objects.get(pk=deployment.pk)


def request(deployment: Deployment, by: Any, **changes: Any) -> Run:
    facts = {"params": {"backup": "shop-before"}, "typed_name": "shop", **changes}
    return deployment.request_rollback(by, **facts)


def test_the_page_offers_the_rollback_with_the_latest_earlier_backup(
    rolling_back: Deployment, dba: User, devops_lead: User, signed_in: SignedIn
) -> None:
    browser, address = signed_in(dba), f"/deployments/{rolling_back.pk}/rollback/runs"
    page = browser.get(rolling_back.get_absolute_url()).text
    assert '<option value="shop-before" selected>' in page
    assert page.index('label="Taken before the deployment started"') < page.index("shop-old")
    assert page.index('label="Taken later"') < page.index("shop-after")
    assert "shop-before</span> took 12 min 34 s last time" in page

    data = {"backup": "shop-before", "jobs": "2", "migration": "2_two"}
    rejected = browser.post(address, {**data, "typed_name": "Shop"})
    accepted = browser.post(address, {**data, "typed_name": "shop"})
    run = Run.objects.get(kind="rollback")
    assert (rejected.status_code, accepted.status_code, accepted["Location"]) == (
        422,
        303,
        f"/runs/{run.pk}/",
    )
    assert (run.state, run.authority) == (RunState.WAITING, rolling_back.authority)
    assert (run.params["backup"], run.params["migration"]) == ("shop-before", "2_two")

    assert "its last restore took 12 min 34 s" in signed_in(devops_lead).get(f"/runs/{run.pk}/").text
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


def test_physical_backups_are_not_offered_for_a_rollback(
    rolling_back: Deployment, dba: User, signed_in: SignedIn
) -> None:
    Backup.objects.filter(name="shop-before").update(engine=PGBACKREST)

    page = signed_in(dba).get(rolling_back.get_absolute_url()).text

    assert 'value="shop-before"' not in page
    assert '<option value="shop-old" selected>' in page


def test_an_uploaded_backup_is_labeled_and_not_the_default(
    rolling_back: Deployment, dba: User, signed_in: SignedIn
) -> None:
    Backup.objects.filter(name="shop-before").update(uploaded_from="staging.dump")

    page = signed_in(dba).get(rolling_back.get_absolute_url()).text

    assert '<option value="shop-old" selected>' in page
    assert "uploaded by test from staging.dump: shop-before" in page


def test_a_deployment_that_rolls_back_shows_no_verdict(
    rolling_back: Deployment, viewer: User, signed_in: SignedIn
) -> None:
    browser = signed_in(viewer)
    for address in ("/", "/deployments/"):
        text = browser.get(address).text
        assert rolling_back.title in text
        assert 'data-status="go"' not in text


def test_a_rollback_needs_a_fresh_code(rolling_back: Deployment, dba: User, signed_in: SignedIn) -> None:
    browser = signed_in(dba)
    SignIn.objects.update(code_given_at=timezone.now() - dt.timedelta(hours=1))
    data = {"backup": "shop-before", "typed_name": "shop"}
    answer = browser.post(f"/deployments/{rolling_back.pk}/rollback/runs", data)
    assert (answer.status_code, answer["Location"]) == (302, "/account/step-up/")
    assert not Run.objects.filter(kind="rollback").exists()


@pytest.mark.parametrize("state", ["deploying", "halted", "rolled_back", "signed_off"])
def test_rollback_runs_start_only_while_the_deployment_rolls_back(
    rolling_back: Deployment, dba: User, devops_lead: User, signed_in: SignedIn, state: str
) -> None:
    run = request(rolling_back, dba)
    run.consent(by=devops_lead, typed_name="shop")
    run.claim(host="here", pid=1)
    set_state(rolling_back, state)
    with pytest.raises(Refusal, match="The rollback was not started"):
        check_claim(run)
    run.fail("x")
    with pytest.raises(Refusal, match="halt it and start its rollback first"):
        request(rolling_back, dba)
    assert "rollback/runs" not in signed_in(dba).get(rolling_back.get_absolute_url()).text


def test_a_rollback_needs_an_operator_and_a_backup(
    rolling_back: Deployment, dba: User, qa_lead: User, cto: User, signed_in: SignedIn
) -> None:
    for user in (qa_lead, cto):
        with pytest.raises(NotAllowed):
            request(rolling_back, user)
        assert "rollback/runs" not in signed_in(user).get(rolling_back.get_absolute_url()).text
    with pytest.raises(InvalidInput, match="requires the parameter backup"):
        request(rolling_back, dba, params={})
    assert not Run.objects.filter(kind="rollback").exists()


def test_a_rollback_with_an_unfinished_run_cannot_be_finished(
    rolling_back: Deployment, dba: User, devops_lead: User
) -> None:
    run = request(rolling_back, dba)
    with pytest.raises(Refusal, match=rf"Run {run.pk} \(rollback\) is waiting for a second person"):
        rolling_back.finish_rollback(dba, "It is as it was.")
    run.object(by=devops_lead, reason="Wrong backup.")
    rolling_back.finish_rollback(dba, "It is as it was.")
    assert rolling_back.state == "rolled_back"


def test_the_refusal_of_a_rollback_names_the_run_on_the_target(
    rolling_back: Deployment, dba: User, devops_lead: User
) -> None:
    backup = Run.request(target=rolling_back.target, kind="backup", params={}, by=dba)
    run = request(rolling_back, dba)  # it waits for consent, so it conflicts only with another waiting run
    message = rf"The rollback was not started: run {run.pk} \(rollback\) of Dana Baker on shop is waiting"
    with pytest.raises(Refusal, match=message):
        request(rolling_back, devops_lead)
    run.cancel(by=dba)

    Target.objects.filter(pk=rolling_back.target_id).update(environment="staging")
    with pytest.raises(Refusal, match=rf"run {backup.pk} \(backup\) of Dana Baker on shop is queued"):
        request(rolling_back, dba)
    backup.cancel(by=dba)
    assert request(rolling_back, dba).state == RunState.QUEUED


def test_an_item_that_needs_consent_asks_for_the_target_name(
    dba: User, devops_lead: User, qa_lead: User, signed_in: SignedIn
) -> None:
    source = factories.SMALL.replace("operation: migrate", "operation: restore")
    planned = factories.plan(
        factories.a_target("live"),
        factories.published(source, "restoring"),
        factories.team_of(dba, devops_lead, qa_lead),
    )
    set_state(planned, "deploying")
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
    assert (run.state, run.params["backup"]) == (RunState.WAITING, "live-2"), "chosen at the request"
    run.consent(by=devops_lead, typed_name="live")
    run.claim(host="here", pid=1)
    check_claim(run)


def test_a_run_locks_deployments_before_the_audit_chain(
    rolling_back: Deployment,
) -> None:
    run = Run.request(target=rolling_back.target, kind="test_restore", params={}, by=MACHINE)
    run.claim(host="here", pid=1)
    backup_catalog = RunBackupCatalog(run, lambda write: write())

    with CaptureQueriesContext(connection) as queries:
        backup_catalog.record_outcome(Outcome("Proven.", trust={"shop-old": ["restored"]}))

    statements = [query["sql"] for query in queries.captured_queries]
    locks = [n for n, sql in enumerate(statements) if "checklists_deployment" in sql and "FOR NO KEY" in sql]
    appends = [n for n, sql in enumerate(statements) if "pg_advisory_xact_lock" in sql]
    assert locks[0] < appends[0]
