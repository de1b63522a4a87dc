"""Where a test session keeps its files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests import places


def test_only_folders_below_the_sessions_own_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, inner = tmp_path / "session", tmp_path / "session" / "pytest" / "one"
    inner.mkdir(parents=True)
    for folder in (session, inner, inner.parent):
        folder.chmod(0o700)
    above = [(folder, folder.stat().st_mode) for folder in (session, *session.parents)]
    monkeypatch.setattr(tempfile, "tempdir", str(session))

    places.open_to_all(inner)

    assert [folder.stat().st_mode & 0o777 for folder in (inner, inner.parent)] == [0o755, 0o755]
    assert [(folder, folder.stat().st_mode) for folder, _ in above] == above


def test_what_a_killed_session_left_is_swept_and_what_lives_stays(tmp_path: Path) -> None:
    killed, living, foreign = (
        tmp_path / name for name in (f"{places.PREFIX}1", f"{places.PREFIX}2", "other")
    )
    for folder in (killed, living, foreign):
        (folder / "files").mkdir(parents=True)
    held = places.hold(living)
    try:
        places.sweep(tmp_path)
    finally:
        os.close(held)
    assert not killed.exists()
    assert (living / "files").is_dir()
    assert (foreign / "files").is_dir()
