"""The content of a record, what each gate covers, and that any change changes the digest."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checklists.models import Deployment, Proof, ProofOutcome
from deployctl.accounts.models import User
from deployctl.runs.models import Backup, BackupTrust, Decision, Run, RunState, Trust
from signoff import diff
from signoff import record as records
from tests.checklists import factories
from tests.signoff.signing import MACHINE, complete_items, gate_of, sign

Json = dict[str, Any]


def _run(deployment: Deployment, text: str, kind: str = "backup", **facts: Any) -> Run:
    """Create a run that has proven an item of the deployment."""
    run = Run.objects.create(
        kind=kind,
        target=deployment.target,
        changes_target=False,
        exclusive=False,
        authority=deployment.authority,
        requested_by_name="Dana Baker",
        state=RunState.SUCCEEDED,
        summary="It went well.",
        finished_at=timezone.now(),
        facts=facts,
    )
    item = factories.item(deployment, text)
    Proof.objects.create(item=item, kind="run", outcome=ProofOutcome.PASS, run=run, by_name="Dana Baker")
    return run


def _backup(run: Run) -> Backup:
    backup = Backup.objects.create(
        target=run.target,
        run=run,
        name=f"shop-{run.pk}",
        format="directory",
        size_bytes=1000,
        files=2,
        server_version="16.4",
        tool_version="16.4",
        snapshot_at=timezone.now(),
        manifest_sha256="a" * 64,
        counts={"public.plans": 3},
    )
    BackupTrust.objects.create(backup=backup, level=Trust.HASHED, run=run)
    return backup


@pytest.fixture
def full(deployment: Deployment) -> Deployment:
    """A deployment whose two records contain every kind of content."""
    before = _run(deployment, "Connection works")
    _backup(before)
    Decision.objects.create(run=before, outcome="succeeded", note="Looked.", by_name="Dana Baker")
    factories.item(deployment, "Anybody").undo(MACHINE)
    factories.item(deployment, "Anybody").waive(MACHINE, "Nobody needs it.")
    _run(
        deployment,
        "Migrations applied",
        "migrate",
        tool="sql",
        applied=["0001_plans.sql"],
        pending=["0002_tests.sql"],
        checksums={"0001_plans.sql": "b" * 64, "0002_tests.sql": "c" * 64},
    )
    _backup(_run(deployment, "Looked at the log"))
    return deployment


def test_the_record_contains_rules_items_runs_and_backups(full: Deployment, dba: User) -> None:
    record = gate_of(full).record()
    assert record["schema"] == "deployctl.record/1"
    assert record["rules"]["slots"][0] == {
        "label": "Database Administrator",
        "role": "dba",
        "quorum": 1,
    }
    waived = next(item for item in record["items"] if item["waiver"])
    assert waived["waiver"]["reason"] == "Nobody needs it."
    (run,) = record["runs"]
    assert (run["operation"], run["state"], run["decision"]["note"]) == ("backup", "succeeded", "Looked.")
    (backup,) = record["backups"]
    assert backup["manifest_sha256"] == "a" * 64
    assert [level["level"] for level in backup["trust"]] == ["hashed"]
    assert record["migrations"] is None
    migrations = gate_of(full, "post").record()["migrations"]
    assert migrations["migrations"] == [
        {"name": "0001_plans.sql", "sha256": "b" * 64, "applied": True},
        {"name": "0002_tests.sql", "sha256": "c" * 64, "applied": False},
    ]


def test_work_after_the_approval_belongs_to_the_second_gate_only(full: Deployment) -> None:
    before = records.digest(gate_of(full).record())
    after = _backup(_run(full, "Users can sign in"))
    assert records.digest(gate_of(full).record()) == before
    assert after.name in [backup["name"] for backup in gate_of(full, "post").record()["backups"]]


def test_trust_levels_reached_by_other_runs_do_not_change_records(full: Deployment) -> None:
    digests = [records.digest(gate_of(full, key).record()) for key in ("pre", "post")]
    nightly = Run.objects.create(
        kind="test_restore",
        target=full.target,
        changes_target=False,
        exclusive=True,
        requested_by_name="routine",
        state=RunState.SUCCEEDED,
    )
    for backup in Backup.objects.all():
        BackupTrust.objects.create(backup=backup, level=Trust.PROVEN, run=nightly)
    assert [records.digest(gate_of(full, key).record()) for key in ("pre", "post")] == digests


def test_trust_levels_reached_by_own_runs_change_the_record(full: Deployment) -> None:
    before = records.digest(gate_of(full, "post").record())
    tested = _run(full, "Users can sign in", "test_restore")
    BackupTrust.objects.create(backup=Backup.objects.earliest("pk"), level=Trust.PROVEN, run=tested)
    record = gate_of(full, "post").record()
    assert records.digest(record) != before
    assert ["proven"] in [[level["level"] for level in backup["trust"]] for backup in record["backups"]]


def test_the_validity_of_a_proof_is_part_of_the_record(full: Deployment) -> None:
    before = gate_of(full).record()
    until = timezone.now() + timedelta(days=7)
    Proof.objects.filter(item=factories.item(full, "Connection")).update(valid_until=until)
    (change,) = diff.between(before, gate_of(full).record())
    assert change.path == "Item “Connection works”, proofs"


def test_any_change_of_covered_content_changes_the_digest(
    full: Deployment, dba: User, devops_lead: User
) -> None:
    """Replace, remove and add single values in both records."""
    sign(full, dba, "dba")
    sign(full, devops_lead, "devops_lead")
    documents = [gate_of(full, "pre").record(), gate_of(full, "post").record()]
    assert documents[1]["earlier_signatures"]
    paths = [(number, path) for number, record in enumerate(documents) for path in _paths(record)]
    others: st.SearchStrategy[Any] = (
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3) | st.just([]) | st.just({})
    )

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.sampled_from(paths), others, st.sampled_from(["replace", "remove", "add"]))
    def check(target: tuple[int, tuple[Any, ...]], value: Any, how: str) -> None:
        record = documents[target[0]]
        changed = _changed(record, target[1], value, how)
        if _as_text(changed) == _as_text(record):
            return
        assert records.digest(changed) != records.digest(record)
        differences = diff.between(record, changed)
        assert differences
        assert all(difference.sentence.endswith(".") for difference in differences)

    check()


def _as_text(record: Json) -> str:
    return json.dumps(record, sort_keys=True)


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a record."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path for key, each in inner for path in _paths(each, (*here, key))]
    return [here, *found] if here else found


def _changed(record: Json, path: tuple[Any, ...], value: Any, how: str) -> Json:
    changed = copy.deepcopy(record)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    if how == "remove":
        del parent[path[-1]]
    elif how == "add" and isinstance(parent, dict):
        parent["something"] = value
    elif how == "add":
        parent.append(value)
    else:
        parent[path[-1]] = value
    return changed


def test_the_record_of_a_completed_checklist_is_reproducible(deployment: Deployment) -> None:
    complete_items(deployment, "deploy", "post")
    assert gate_of(deployment, "post").record() == gate_of(deployment, "post").record()
