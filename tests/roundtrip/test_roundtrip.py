"""A small database that has everything, there and back. `make roundtrip` takes 1 GB, the whole way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deployctl.postgres.connection import parse_url
from tests.roundtrip import database
from tests.roundtrip.journey import Journey


def test_everything_a_database_can_hold_survives_backup_and_restore(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database(database.NAME))
    database.fill(spec, megabytes=2)

    portrait = Journey(spec, tmp_path).there_and_back()

    assert portrait.tables >= 75
    assert len(portrait.counters) > 30
