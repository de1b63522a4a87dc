"""Test the folders of a test session."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests import temporary_folders


def test_only_folders_in_the_session_are_made_accessible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, inner = tmp_path / "session", tmp_path / "session" / "pytest" / "one"
    inner.mkdir(parents=True)
    for folder in (session, inner, inner.parent):
        folder.chmod(0o700)
    above = [(folder, folder.stat().st_mode) for folder in (session, *session.parents)]
    monkeypatch.setattr(tempfile, "tempdir", str(session))

    temporary_folders.make_accessible(inner)

    assert [folder.stat().st_mode & 0o777 for folder in (inner, inner.parent)] == [0o755, 0o755]
    assert [(folder, folder.stat().st_mode) for folder, _ in above] == above


def test_only_folders_of_killed_sessions_are_deleted(tmp_path: Path) -> None:
    killed, running, other = (
        tmp_path / name for name in (f"{temporary_folders.PREFIX}1", f"{temporary_folders.PREFIX}2", "other")
    )
    for folder in (killed, running, other):
        (folder / "files").mkdir(parents=True)
    descriptor = temporary_folders.lock(running)
    try:
        temporary_folders.delete_abandoned(tmp_path)
    finally:
        os.close(descriptor)
    assert not killed.exists()
    assert (running / "files").is_dir()
    assert (other / "files").is_dir()
