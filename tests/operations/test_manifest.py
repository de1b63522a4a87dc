"""Manifests, and the detection of backups that differ from theirs."""

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


def check(folder: Path, expected_sha256: str | None = None) -> None:
    manifest.check(folder, manifest.read(folder, expected_sha256=expected_sha256))


def test_an_untouched_backup_matches(backup: Path) -> None:
    check(backup)

    assert manifest.read(backup) == written(backup)
    assert manifest.read(backup).size_bytes == 10_205


def test_the_manifest_passes_sha256sum(backup: Path) -> None:
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
        (lambda f: (f / "manifest.json").unlink(), "manifest.json", "can't be read"),
        (lambda f: (f / "manifest.sha256").unlink(), "manifest.sha256", "can't be read"),
        (lambda f: (f / "manifest.json").write_text("{}"), "manifest.json", "do not match"),
    ],
)
def test_each_kind_of_damage_has_its_own_message(
    backup: Path, damage: Callable[[Path], object], file: str, words: str
) -> None:
    damage(backup)

    with pytest.raises(Damaged, match=words) as caught:
        check(backup)
    assert caught.value.file == file


def test_a_symbolic_link_instead_of_a_file_is_not_followed(backup: Path) -> None:
    (backup / "1.dat.gz").rename(backup.parent / "elsewhere")
    (backup / "1.dat.gz").symlink_to(backup.parent / "elsewhere")

    with pytest.raises(Damaged, match=r"1\.dat\.gz"):
        check(backup)


@pytest.mark.fault(16)
def test_a_single_flipped_bit_is_detected_in_every_file(backup: Path) -> None:
    generator = random.Random(3)
    files = sorted(backup.iterdir())
    for _ in range(100):
        path = generator.choice(files)
        content = bytearray(path.read_bytes())
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        original = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(Damaged) as caught:
            check(backup)
        path.write_bytes(original)
        # A mismatch of the manifest and its digest is reported for the manifest.
        assert caught.value.file == path.name.replace("manifest.sha256", "manifest.json")
    check(backup)


def test_a_manifest_replaced_together_with_its_digest_is_detected(backup: Path) -> None:
    recorded = manifest.sha256_of(backup / manifest.NAME)
    (backup / "1.dat.gz").write_bytes(b"other rows")
    written(backup).write(backup)

    check(backup)
    with pytest.raises(Damaged, match="not the one written with the backup"):
        check(backup, expected_sha256=recorded)


def test_reading_reports_progress(backup: Path) -> None:
    progress: list[int] = []

    manifest.check(backup, manifest.read(backup), advance=progress.append)

    assert progress == sorted(progress)
    assert progress[-1] == 10_205


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def test_swapped_files_of_different_sizes_are_not_called_truncated(backup: Path) -> None:
    swap(backup / "1.dat.gz", backup / "toc.dat")

    with pytest.raises(Damaged, match=r"1\.dat\.gz of shop-1 has the content of toc\.dat"):
        check(backup)
