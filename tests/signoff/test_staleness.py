"""A change of signed content makes signatures stale in the same transaction, and records who changed what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checklists.models import Deployment, DeploymentState, Item
from deployctl.accounts.models import User
from deployctl.accounts.roles import Role
from deployctl.errors import Refusal
from deployctl.runs.models import Backup, Run, RunState, Target
from signoff import record as records
from signoff.models import Signature
from tests.checklists import factories
from tests.signoff.signing import MACHINE, complete_items, gate_of, sign

Change = Callable[[Deployment, User], Any]


@pytest.fixture
def approved(deployment: Deployment, dba: User, devops_lead: User) -> Deployment:
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    return Deployment.objects.get(pk=deployment.pk)


def _edit_target(deployment: Deployment, by: User) -> None:
    deployment.target.edit(
        environment="production",
        connection_reference="env:OTHER_URL",
        by=MACHINE,
        description="",
        project_folder="",
    )


def _team(deployment: Deployment) -> list[tuple[User, str]]:
    return [(member.user, member.role) for member in deployment.team.select_related("user")]


CHANGES: dict[str, tuple[Change, str]] = {
    "an item undone": (
        lambda deployment, by: factories.item(deployment, "Server").undo(by),
        "“Server is there” reopened",
    ),
    "a proof added": (
        lambda deployment, by: factories.item(deployment, "Server").add_proof(by, "note", text="Look."),
        "“Server is there” note added",
    ),
    "the window moved": (
        lambda deployment, by: deployment.edit(by, window_end=factories.in_hours(27)),
        "window moved",
    ),
    "the plan rewritten": (
        lambda deployment, by: deployment.edit(by, rollback_plan="Another."),
        "rollback plan rewritten",
    ),
    "the title changed": (lambda deployment, by: deployment.edit(by, title="Other"), "title changed"),
    "the team changed": (
        lambda deployment, by: deployment.edit(by, team=_team(deployment)[:2]),
        "team changed",
    ),
    "a person renamed": (
        lambda _, by: by.edit(by=by, name="Dana Baker-Jones"),
        "Dana Baker is now called Dana Baker-Jones",
    ),
    "the connection changed": (_edit_target, "target shop: connection reference changed"),
    "the identity recorded": (
        lambda deployment, _: deployment.target.check_identity("7", 5),
        "target shop: its identity was recorded",
    ),
    "a run requested": (
        lambda deployment, by: factories.item(deployment, "Connection").start(by),
        "“Connection works” run",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_signatures_stale_and_opens_the_gate(
    approved: Deployment, dba: User, name: str
) -> None:
    change, expected = CHANGES[name]
    change(approved, dba)
    signatures = list(Signature.objects.select_related("staleness"))
    assert all(signature.is_stale for signature in signatures)
    assert all(expected in signature.staleness.change for signature in signatures)
    assert not gate_of(approved).is_signed
    approved.refresh_from_db()
    assert approved.state == DeploymentState.PLANNING


def test_reopening_an_item_makes_the_only_signature_stale(deployment: Deployment, dba: User) -> None:
    sign(deployment, dba, Role.DBA)
    factories.item(deployment, "Anybody").undo(MACHINE)
    assert Signature.objects.get().is_stale


def test_a_decision_on_a_lost_run_changes_the_record(approved: Deployment, dba: User, qa_lead: User) -> None:
    approved.begin(dba)
    run = factories.item(approved, "Migrations").start(MACHINE)
    factories.finish(run, RunState.UNKNOWN)
    complete_items(approved, "deploy", "post")
    before = records.digest(gate_of(approved, "post").record())
    run.decide(by=dba, outcome="succeeded", note="All tables are there.")
    record = gate_of(approved, "post").record()
    assert records.digest(record) != before
    assert record["runs"][0]["decision"]["note"] == "All tables are there."
    approved.start_verification(dba)
    signature = sign(approved, qa_lead, Role.QA_LEAD, "post")
    assert signature.record["runs"][0]["state"] == "succeeded"


def test_after_the_beginning_changes_affect_only_the_second_gate(
    approved: Deployment, dba: User, qa_lead: User
) -> None:
    approved.begin(dba)
    complete_items(approved, "deploy", "post")
    approved.start_verification(dba)
    second = sign(approved, qa_lead, Role.QA_LEAD, "post")
    dba.edit(by=dba, name="Dana Baker-Jones")
    assert gate_of(approved).is_signed
    second = Signature.objects.get(pk=second.pk)
    assert second.is_stale
    approved.refresh_from_db()
    assert approved.state == DeploymentState.VERIFYING


def _finish_restore_of_another_deployment(deployment: Deployment, _: User) -> None:
    other = Deployment.objects.exclude(pk=deployment.pk).get()
    run = Run.objects.create(
        kind="restore",
        target=deployment.target,
        changes_target=True,
        exclusive=True,
        requested_by_name="Dana Baker",
        authority=other.authority,
        state=RunState.RUNNING,
        token=1,
    )
    run.succeed("Restored.", {}, database_oid=6)
    assert Run.objects.get(pk=run.pk).state == RunState.SUCCEEDED


ENDINGS: dict[str, Change] = {
    "a person renamed": lambda _, by: by.edit(by=by, name="Dana Baker-Jones"),
    "the connection changed": _edit_target,
    "an item undone": lambda deployment, by: factories.item(deployment, "Users").undo(by),
    "the signature revoked": lambda *_: (last := Signature.objects.latest("pk")).revoke(
        by=last.signer, reason="I saw an error."
    ),
    "the database replaced": _finish_restore_of_another_deployment,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_signature_ends_even_if_another_deployment_holds_the_window(
    approved: Deployment, dba: User, qa_lead: User, name: str
) -> None:
    approved.begin(dba)
    complete_items(approved, "deploy", "post")
    approved.start_verification(dba)
    Target.objects.filter(pk=approved.target_id).update(system_identifier="7", database_oid=5)
    sign(approved, qa_lead, Role.QA_LEAD, "post")
    facts = {"window_start": approved.window_start, "window_end": approved.window_end}
    factories.plan(approved.target, approved.template_version, _team(approved), title="Hotfix", **facts)
    ENDINGS[name](Deployment.objects.get(pk=approved.pk), dba)
    assert not Signature.objects.latest("pk").is_valid
    assert not gate_of(approved, "post").is_signed
    approved.refresh_from_db()
    assert approved.state == DeploymentState.VERIFYING


def test_a_deployment_that_has_ended_keeps_its_signatures(approved: Deployment, dba: User) -> None:
    approved.cancel(MACHINE, "Not this year.")
    dba.edit(by=dba, name="Dana Baker-Jones")
    assert not any(signature.is_stale for signature in Signature.objects.all())


def test_begin_detects_an_unannounced_change(approved: Deployment, dba: User) -> None:
    Target.objects.filter(pk=approved.target_id).update(project_folder="/srv/elsewhere")
    with pytest.raises(Refusal, match="is planning, so it can't be begun"):
        approved.begin(dba)
    assert all(signature.is_stale for signature in Signature.objects.all())


def test_begin_checks_the_target_identity(
    deployment: Deployment, dba: User, devops_lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.target.check_identity("7", 5)
    sign(deployment, dba, Role.DBA)
    sign(deployment, devops_lead, Role.DEVOPS_LEAD)
    # The target's connection leads to the test database, which has a different identity.
    with pytest.raises(Refusal, match="leads to another database than the approved one"):
        Deployment.objects.get(pk=deployment.pk).begin(dba)
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(Refusal, match="shop couldn't be reached to check that it is still the approved"):
        Deployment.objects.get(pk=deployment.pk).begin(dba)
    deployment.refresh_from_db()
    assert deployment.state == DeploymentState.APPROVED


def test_a_run_that_ends_locks_deployments_before_the_audit_chain(approved: Deployment, dba: User) -> None:
    """The reverse order could deadlock with a person's request."""
    run = factories.item(approved, "Connection").start(dba)
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, token=1)
    run.refresh_from_db()
    with CaptureQueriesContext(connection) as queries:
        run.succeed("It answers.", {"database_oid": 5, "system_identifier": "7"})
    statements = [query["sql"] for query in queries.captured_queries]
    lock = next(
        n for n, sql in enumerate(statements) if "checklists_deployment" in sql and "FOR NO KEY" in sql
    )
    chain = next(n for n, sql in enumerate(statements) if "pg_advisory_xact_lock" in sql)
    assert lock < chain
    assert Target.objects.get(pk=approved.target_id).database_oid == 5
    assert not Backup.objects.exists()
    assert Item.objects.of_deployment(approved.pk).get(text__startswith="Connection").state == "done"
