"""Offsite copies: what a run records, and what pages and commands show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from django.conf import settings
from django.template.loader import render_to_string

from deployctl.audit.models import Entry
from deployctl.cli.backup import backup as backup_command
from deployctl.runs.models import Backup, Copy, Run, RunState, Target

Executed = Callable[..., Run]


@pytest.fixture
def offsite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "offsite"
    folder.mkdir()
    monkeypatch.setattr(settings, "DEPLOYCTL_OFFSITE", [f"file://{folder}"])
    return folder


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(backup_command, arguments)


def test_a_backup_is_copied_recorded_and_shown(
    real_target: Target, executed: Executed, offsite: Path
) -> None:
    assert "There are no copies yet" in invoke("copies").output
    assert executed(real_target, "backup").state == RunState.SUCCEEDED

    run = executed(real_target, "copy_offsite")

    assert run.state == RunState.SUCCEEDED, run.summary
    copy, backup = Copy.objects.get(), Backup.objects.get()
    assert (copy.backup, copy.run, copy.store, copy.recipient) == (backup, run, "offsite", "")
    assert copy.read_back_at >= copy.written_at
    assert (offsite / copy.key / "copy.sha256").is_file()
    assert Entry.objects.get(action="backup.copied").data["digest"] == copy.digest
    assert f"{backup.name}  offsite  no" in invoke("copies", "--target", "shop").output
    shown = render_to_string("runs/_backup_copies.html", {"backup": backup})
    assert "offsite, read back" in shown.replace("\n", " ")


def test_a_copy_that_fails_shows_the_reason(real_target: Target, executed: Executed, offsite: Path) -> None:
    assert executed(real_target, "backup").state == RunState.SUCCEEDED
    offsite.rmdir()

    run = executed(real_target, "copy_offsite")

    assert run.state == RunState.FAILED
    assert "Check that its disk is mounted." in run.summary
    assert not Copy.objects.exists()
