"""Test for the records of runs that a worker executes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings

from deployctl.audit import Machine
from deployctl.operations.framework.base import BackupArtefact
from deployctl.runs.models import Backup, PhysicalEngine, Run, RunState, Target
from tests.operations.physical.cluster import Cluster
from tests.runs.conftest import executed  # noqa: F401 (fixture)


def test_a_backup_and_its_test_restore_record_the_trust_level(
    cluster: Cluster,
    full: BackupArtefact,
    committed_db: Any,
    executed: Callable[..., Run],  # noqa: F811
    secret_file: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "DEPLOYCTL_PGBACKREST_ROOTS", [cluster.folder])
    target = Target.add(
        name="shop",
        environment="production",
        connection_reference=secret_file(cluster.spec.url),
        by=Machine("test"),
    )
    PhysicalEngine.set(
        target,
        stanza=cluster.engine.stanza,
        configuration=str(cluster.configuration),
        scratch_folder=str(cluster.scratch),
        by=Machine("test"),
    )

    made = executed(target, "physical_backup", type="diff")
    assert made.state == RunState.SUCCEEDED, made.summary
    backup = Backup.objects.get(run=made)
    tried = executed(target, "physical_restore_test", backup=backup.name, until="immediate")

    assert tried.state == RunState.SUCCEEDED, tried.summary
    assert (backup.format, backup.details["references"]) == ("diff", [full.details["label"]])
    assert [level.level for level in backup.reached] == ["restored", "written"]
    assert backup.last_restore_s == tried.facts["restore_s"]
    log = "\n".join(tried.lines.values_list("text", flat=True))
    assert "consistent recovery state reached" in log
    assert '"backup":[' not in log, "what pgBackRest answers as data is no line of the log"
    assert cluster.scratch_folders() == []
