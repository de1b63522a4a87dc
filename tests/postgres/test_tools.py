"""Tests for choosing the version of PostgreSQL's programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.postgres import tools
from deployctl.postgres.tools import Tool, ToolMissing, choose, find_tool


def tool(major: int, folder: str = "/usr/lib") -> Tool:
    return Tool(Path(folder) / f"pg_dump-{major}", major, f"{major}.3")


def test_the_lowest_version_that_fits_is_chosen() -> None:
    found = [tool(18), tool(14), tool(16)]

    assert choose("pg_dump", found, 15).major == 16
    assert choose("pg_dump", found, 14).major == 14
    assert choose("pg_dump", found, 9).major == 14
    assert choose("pg_dump", found, 17).major == 18


def test_the_first_of_equal_versions_is_chosen() -> None:
    assert choose("pg_dump", [tool(16, "/system"), tool(16, "/packaged")], 16).path.parent == Path("/system")


def test_older_tools_are_rejected_with_both_versions() -> None:
    with pytest.raises(ToolMissing, match=r"server is PostgreSQL 17.*older: 15\.3, 16\.3"):
        choose("pg_dump", [tool(16), tool(15)], 17)


def test_a_dump_needs_a_tool_of_its_version_or_newer() -> None:
    found = [tool(15), tool(16), tool(18)]

    assert choose("pg_restore", found, 14, dumped_by=16).major == 16
    assert choose("pg_restore", found, 17, dumped_by=18).major == 18
    with pytest.raises(ToolMissing, match=r"server is PostgreSQL 13.*written by version 16.*older: 15\.3"):
        choose("pg_restore", [tool(15)], 13, dumped_by=16)


def test_tools_from_17_on_are_rejected_for_older_servers() -> None:
    with pytest.raises(ToolMissing) as caught:
        choose("pg_dump", [tool(18), tool(17), tool(13)], 15)

    assert str(caught.value) == (
        "The server is PostgreSQL 15, but no pg_dump on this machine fits: 13.3, 17.3, 18.3. From version 17 "
        "on, pg_restore sets transaction_timeout, which servers before 17 reject. "
        "Install PostgreSQL's client programs, version 15 to 16."
    )
    with pytest.raises(ToolMissing, match=r"server is PostgreSQL 15 .*version 18: .* version 17 or newer\."):
        choose("pg_restore", [tool(18)], 15, dumped_by=18)


def test_a_missing_tool_is_reported() -> None:
    with pytest.raises(ToolMissing, match=r"pg_dump wasn't found\. Install"):
        choose("pg_dump", [], 17)
    with pytest.raises(ToolMissing, match=r"version 16 exactly\."):
        choose("pg_dump", [], 16)


def test_an_installed_tool_reports_its_version() -> None:
    found = find_tool("pg_restore", server_major=1)

    assert found.path.is_file()
    assert found.version.startswith(str(found.major))


def test_another_program_with_the_same_name_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho something else 99.1\n")
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setattr(tools, "folders", lambda: [tmp_path])

    assert list(tools.available("pg_dump")) == []
