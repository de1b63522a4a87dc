"""The kind of an exported file, and parts of a file that are not in their form."""

from __future__ import annotations

from pathlib import Path

import pytest

from signoff.verifier import files, pack
from signoff.verifier.findings import Finding
from tests.signoff.verifier import handmade
from tests.signoff.verifier.handmade import PUBLIC_KEY


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"action":"x"}\n', "audit export"),
        (b'{"entries":0}\n', "audit export"),
        (b'{"contents":{}}\n', "evidence pack"),
        (b"", "evidence pack"),
        (b"PK\x03\x04", "period pack"),
    ],
)
def test_the_kind_of_a_file_is_found_by_its_beginning(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert files.verify(path).kind == kind


def test_every_line_of_a_pack_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pack.json"
    content = handmade.sealed(handmade.contents())
    path.write_bytes(content)
    finding = files.verify(path, [PUBLIC_KEY])
    assert finding.ok
    assert finding.key_is_trusted
    broken = content.replace(b'"about"', b'\n"about"')
    path.write_bytes(broken)
    assert files.verify(path).problems == pack.verify(broken).problems


def test_every_line_of_an_export_is_read(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(b'{"action":"x"}\n{"action":"y"}\n')
    places = [problem.location for problem in files.verify(path).problems]
    assert places == ["line 1", "line 2", "the end"]


@pytest.mark.parametrize(
    "error", [KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError]
)
def test_a_part_that_is_not_in_its_form_is_a_problem(error: type[Exception]) -> None:
    finding = Finding("pack")

    def fail() -> None:
        raise error

    with finding.inside("/contents") as note:
        note("/below", "Wrong.")
        fail()
    assert [problem.location for problem in finding.problems] == ["/contents/below", "/contents"]
    assert not finding.ok


def test_a_problem_of_the_whole_file_has_a_place_in_words() -> None:
    finding = Finding("pack")
    assert finding.ok
    finding.add("", "Wrong é\x00.")
    finding.add("/a", "Wrong.")
    assert [str(problem) for problem in finding.problems] == ["the file: Wrong é\\x00.", "/a: Wrong."]
