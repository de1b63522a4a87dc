"""The manifest, and every way in which a backup can differ from it."""

from __future__ import annotations

import datetime as dt
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deployctl.operations.backup import manifest
from deployctl.operations.backup.manifest import Damaged, Manifest, Source, TableCount


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    folder = tmp_path / "shop-1"
    folder.mkdir()
    (folder / "toc.dat").write_bytes(b"PGDMP" + bytes(range(200)))
    (folder / "1.dat.gz").write_bytes(random.Random(1).randbytes(5000))
    (folder / "2.dat.gz").write_bytes(random.Random(2).randbytes(5000))
    written(folder).write(folder)
    return folder


def written(folder: Path) -> Manifest:
    return Manifest(
        name="shop-1",
        format="directory",
        compression="gzip:1",
        tool_version="15.4",
        snapshot_at=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        source=Source(
            "shop", 'odd "name"\n', 16384, "7000000000000000000", "15.4", "UTF8", "C.UTF-8", "C.UTF-8"
        ),
        counts=(TableCount("public", "Plan", 6),),
        files=manifest.files_of(folder),
    )


def look(folder: Path, expected_sha256: str | None = None) -> None:
    manifest.check(folder, manifest.read(folder, expected_sha256=expected_sha256))


def test_an_untouched_backup_matches(backup: Path) -> None:
    look(backup)

    assert manifest.read(backup) == written(backup)
    assert manifest.read(backup).size_bytes == 10_205


def test_the_manifest_can_be_checked_without_us(backup: Path) -> None:
    program = shutil.which("sha256sum") or pytest.skip("this machine has no sha256sum")
    subprocess.run([program, "--check", "--strict", manifest.SUM_NAME], cwd=backup, check=True)


@pytest.mark.fault(17)
@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (lambda f: (f / "1.dat.gz").unlink(), "1.dat.gz", "missing"),
        (lambda f: (f / "1.dat.gz").write_bytes(b""), "1.dat.gz", "is empty"),
        (lambda f: (f / "1.dat.gz").write_bytes(b"x" * 100), "1.dat.gz", "truncated: 100 of 5000"),
        (lambda f: (f / "1.dat.gz").write_bytes(b"x" * 9000), "1.dat.gz", "grown from 5000 to 9000"),
        (lambda f: (f / "1.dat.gz").write_bytes(b"x" * 5000), "1.dat.gz", "was changed"),
        (lambda f: (f / "3.dat.gz").write_bytes(b"x"), "3.dat.gz", "not in its manifest"),
        (lambda f: (f / "sub").mkdir() or (f / "sub" / "x").write_bytes(b""), "sub/x", "not in its manifest"),
        (lambda f: swap(f / "1.dat.gz", f / "2.dat.gz"), "1.dat.gz", "has the content of 2.dat.gz"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json", "cannot be read"),
        (lambda f: (f / "manifest.sha256").unlink(), "manifest.sha256", "cannot be read"),
        (lambda f: (f / "manifest.json").write_text("{}"), "manifest.json", "contradict"),
    ],
)
def test_each_kind_of_damage_has_its_own_message(
    backup: Path, damage: Callable[[Path], object], file: str, words: str
) -> None:
    damage(backup)

    with pytest.raises(Damaged, match=words) as caught:
        look(backup)
    assert caught.value.file == file


def test_a_link_in_place_of_a_file_is_not_followed(backup: Path) -> None:
    (backup / "1.dat.gz").rename(backup.parent / "elsewhere")
    (backup / "1.dat.gz").symlink_to(backup.parent / "elsewhere")

    with pytest.raises(Damaged, match=r"1\.dat\.gz"):
        look(backup)


@pytest.mark.fault(16)
def test_one_flipped_bit_anywhere_is_found_and_its_file_named(backup: Path) -> None:
    chance = random.Random(3)
    files = sorted(backup.iterdir())
    for _ in range(100):
        path = chance.choice(files)
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(Damaged) as caught:
            look(backup)
        path.write_bytes(whole)
        # The manifest and its digest only know that they contradict each other.
        assert caught.value.file == path.name.replace("manifest.sha256", "manifest.json")
    look(backup)


def test_a_manifest_replaced_together_with_its_digest_is_found_by_the_recorded_one(backup: Path) -> None:
    recorded = manifest.sha256_of(backup / manifest.NAME)
    (backup / "1.dat.gz").write_bytes(b"other rows")
    written(backup).write(backup)

    look(backup)
    with pytest.raises(Damaged, match="not the one that was written"):
        look(backup, expected_sha256=recorded)


def test_reading_tells_how_far_it_is(backup: Path) -> None:
    told: list[int] = []

    manifest.check(backup, manifest.read(backup), advance=told.append)

    assert told == sorted(told)
    assert told[-1] == 10_205


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def test_swapped_files_of_different_size_are_told_from_truncated_ones(backup: Path) -> None:
    swap(backup / "1.dat.gz", backup / "toc.dat")

    with pytest.raises(Damaged, match=r"1\.dat\.gz of shop-1 has the content of toc\.dat"):
        look(backup)
