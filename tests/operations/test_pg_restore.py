"""Test for the version of pg_restore that a dump needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.restore import pg_restore
from deployctl.postgres.tools import ToolMissing
from tests.operations.test_import_backup import NOWHERE, manifest_of


@pytest.mark.parametrize("version", ["98", "98.1", "98beta1", "98rc1", "98devel"])
def test_the_major_version_of_releases_and_betas_is_parsed(tmp_path: Path, version: str) -> None:
    (tmp_path / "toc.dat").write_bytes(b"PGDMP")
    written = dataclasses.replace(manifest_of(tmp_path), tool_version=version)
    with pytest.raises(ToolMissing, match="the dump was written by version 98,"):
        pg_restore.restore(
            FakeJob(NOWHERE), tmp_path, written, into="x", server_version=17_00_00, jobs=1, state=""
        )
