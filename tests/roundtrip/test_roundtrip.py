"""Test the round trip with a small database. `make roundtrip` runs more steps on 1 GB."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployctl.postgres.connection import parse_url
from tests.roundtrip import database
from tests.roundtrip.scenario import Scenario


def test_every_database_feature_survives_backup_and_restore(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database(database.NAME))
    database.fill(spec, megabytes=2)

    snapshot = Scenario(spec, tmp_path).back_up_and_restore()

    assert snapshot.tables >= 75
    assert len(snapshot.sequences) > 30
