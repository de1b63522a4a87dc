"""Period packs: their files, and every byte of the archive."""

from __future__ import annotations

import datetime as dt
import random
import zipfile
from pathlib import Path

import pytest

from checklists.models import Deployment
from deployctl.audit import signed_statements, signing_keys
from deployctl.errors import InvalidInput, Refusal
from signoff.evidence import period_archive
from signoff.models import EvidencePack
from signoff.verifier import files
from signoff.verifier.period import LIST
from tests.signoff.signing import MACHINE

TODAY = dt.datetime.now(dt.UTC).date()
LATER = TODAY + dt.timedelta(days=3)


@pytest.fixture
def archive(signed: Deployment, tmp_path: Path) -> Path:
    path = tmp_path / "period.zip"
    with period_archive.archive(signed.target, TODAY, LATER, MACHINE) as stream:
        path.write_bytes(stream.read())
    return path


def test_a_period_pack_contains_all_files_and_verifies(archive: Path, signed: Deployment) -> None:
    folder = f"deployment-{signed.pk}"
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == [
            LIST,
            *(f"{folder}/{name}" for name in ("evidence.json", "evidence.pdf", "checklist.md")),
        ]
        assert opened.read(f"{folder}/evidence.pdf").startswith(b"%PDF-")
    finding = files.verify(archive, [signed_statements.fingerprint(signing_keys.public_key())])
    assert finding.problems == []
    assert finding.key_is_trusted
    assert finding.facts["deployments"] == 1


def test_a_change_of_any_byte_of_the_archive_is_detected(archive: Path) -> None:
    content = archive.read_bytes()
    rng = random.Random(7)
    # Some bytes in the files, and every third byte of the directory at the end.
    offsets = [*rng.sample(range(len(content)), 30), *range(len(content) - 120, len(content), 3)]
    for offset in offsets:
        changed = bytearray(content)
        changed[offset] ^= 1 << rng.randrange(8)
        archive.write_bytes(changed)
        finding = files.verify(archive)
        assert not finding.ok, f"a change of byte {offset} was not detected"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_compressed_archive_is_a_problem(tmp_path: Path, method: int) -> None:
    path = tmp_path / "period.zip"
    with zipfile.ZipFile(path, "w", method) as archive_file:
        archive_file.writestr(LIST, "nothing of value " * 1000)
    content = bytearray(path.read_bytes())
    # After the headers of the file and of LZMA.
    content[60:68] = b"\xff" * 8
    path.write_bytes(content)
    assert not files.verify(path).ok


def test_a_file_added_to_the_archive_is_located(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("more.txt", "more")
    assert "more.txt" in {problem.location for problem in files.verify(archive).problems}


def test_an_untrusted_key_is_a_problem(archive: Path) -> None:
    problems = files.verify(archive, ["0" * 64]).problems
    assert any("isn't a trusted key" in problem.sentence for problem in problems)


def test_a_period_without_deployments_is_rejected(signed: Deployment) -> None:
    with pytest.raises(Refusal, match="No deployment of shop"):
        period_archive.archive(signed.target, dt.date(2001, 1, 1), dt.date(2001, 12, 31), MACHINE)
    with pytest.raises(InvalidInput, match="end of the period is before its start"):
        period_archive.archive(signed.target, LATER, TODAY, MACHINE)
    assert not EvidencePack.objects.exists()


def test_the_pack_of_an_ended_deployment_is_reused(signed: Deployment) -> None:
    signed.cancel(MACHINE, "Not now.")
    first = EvidencePack.latest_or_export(signed, MACHINE)
    assert EvidencePack.latest_or_export(signed, MACHINE) == first
    assert first.is_final


def test_an_altered_or_missing_pack_is_exported_again(
    signed: Deployment, archive: Path, tmp_path: Path
) -> None:
    signed.cancel(MACHINE, "Not now.")
    first = EvidencePack.latest_or_export(signed, MACHINE)
    with first.file.open("wb") as stream:
        stream.write(b"{")
    second = EvidencePack.latest_or_export(signed, MACHINE)
    second.file.storage.delete(str(second.file.name))
    with period_archive.archive(signed.target, TODAY, LATER, MACHINE) as stream:
        archive.write_bytes(stream.read())
    assert files.verify(archive).problems == []
    assert EvidencePack.latest_or_export(signed, MACHINE) not in {first, second}
    assert "is missing from storage" in EvidencePack.objects.get(pk=second.pk).problem
