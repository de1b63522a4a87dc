"""A period pack made by hand: each damage to the list or the archive is named."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signoff.verifier import pack_format, period
from signoff.verifier.period import LIST
from tests.signoff.verifier import handmade
from tests.signoff.verifier.handmade import PUBLIC_KEY

Files = dict[str, bytes]


def _sealed_list(given: Files, schema: str = pack_format.PERIOD_SCHEMA) -> bytes:
    listed = [{"name": name, "sha256": hashlib.sha256(data).hexdigest()} for name, data in given.items()]
    return handmade.sealed({"about": {"deployments": 1}, "files": listed}, schema=schema)


def _archive(path: Path, listed: bytes | None, given: Files) -> None:
    members = ({LIST: listed} if listed is not None else {}) | given
    with path.open("wb") as stream:
        period.write(stream, ((name, io.BytesIO(data)) for name, data in members.items()))


@pytest.fixture
def given() -> Files:
    return {"1/evidence.json": handmade.sealed(handmade.contents()), "1/evidence.pdf": b"%PDF-"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "period.zip"


def _places(path: Path, *trusted: str) -> list[str]:
    return [problem.location for problem in period.verify(path, trusted).problems]


def test_a_handmade_archive_is_accepted_with_its_facts(path: Path, given: Files) -> None:
    _archive(path, _sealed_list(given), given)
    finding = period.verify(path, [PUBLIC_KEY])
    assert finding.problems == []
    assert finding.key_is_trusted
    assert finding.facts == {"deployments": 1}
    assert not period.verify(path).key_is_trusted


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (lambda g: g.update({"1/evidence.pdf": b"%PDF+"}), ["1/evidence.pdf"]),
        (lambda g: g.pop("1/evidence.pdf"), ["1/evidence.pdf"]),
        (lambda g: g.update(more=g.pop("1/evidence.pdf")), ["1/evidence.pdf"]),
        (lambda g: g.update(more=b""), ["more"]),
        (lambda g: g.update({"1/evidence.json": g.pop("1/evidence.json")}), [LIST]),
        (lambda g: g.update({"1/evidence.json": b"{}\n"}), ["1/evidence.json"] * 2),
    ],
)
def test_files_that_are_not_those_of_the_list_are_named(
    path: Path, given: Files, change: Callable[[Files], Any], places: list[str]
) -> None:
    listed = _sealed_list(given)
    change(given)
    _archive(path, listed, given)
    assert _places(path) == places


# One sorts before the list's own name and one after it.
@pytest.mark.parametrize("name", ["1/evidence.json", "deployment-1/evidence.json"])
def test_a_damaged_pack_that_was_listed_is_still_named(path: Path, given: Files, name: str) -> None:
    given[name] = b"{}\n"
    _archive(path, _sealed_list(given), given)
    assert _places(path) == [name]


def test_the_list_itself_is_verified(path: Path, given: Files) -> None:
    _archive(path, None, given)
    assert _places(path) == [LIST]
    _archive(path, _sealed_list(given, pack_format.SCHEMA), given)
    assert _places(path) == [f"{LIST}/seal/schema"]
    for broken in (b"{}\n", b"5\n", b"x"):
        _archive(path, broken, given)
        assert _places(path) == [LIST]
    _archive(path, handmade.sealed({"files": 5}, schema=pack_format.PERIOD_SCHEMA), given)
    assert _places(path) == [f"{LIST}/contents/files", f"{LIST}/contents/about"]
    _archive(path, _sealed_list(given), given)
    assert _places(path, "0" * 64) == [f"{LIST}/seal/public_key", "1/evidence.json/seal/public_key"]


def test_an_archive_that_was_packed_again_is_named_by_its_byte(path: Path, given: Files) -> None:
    given["1/large.bin"] = bytes(period.CHUNK + 1)
    _archive(path, _sealed_list(given), given)
    assert _places(path) == []
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 3)
    (place,) = _places(path)
    assert place.startswith("byte ")
    # The comment of the archive, in its last two bytes, says that three bytes follow.
    path.write_bytes(content[:-2] + b"\3\0abc")
    assert _places(path) == [f"byte {len(content) - 2}"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {LIST: _sealed_list(given), **given}.items():
            archive.writestr(zipfile.ZipInfo(name, period.NO_TIME), data)
    assert _places(path)[0].startswith("byte ")


def test_the_form_of_the_archive_never_changes(path: Path) -> None:
    _archive(path, b"list", {"a": b"1", "b": b"2"})
    # Archives that were exported earlier are compared with this form, byte for byte.
    assert (
        hashlib.sha256(path.read_bytes()).hexdigest()
        == "7107ecc8d5ae6c820d95baca728e7936fb5888205887637a41ba3e3c0747b6db"
    )
