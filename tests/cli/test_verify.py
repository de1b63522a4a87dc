"""`deployctl verify` on a machine without an installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployctl.audit import signed_statements, signing_keys
from signoff.models import EvidencePack
from tests.signoff.conftest import deployment  # noqa: F401 (fixture)
from tests.signoff.evidence.conftest import pack, signed  # noqa: F401 (fixtures)

ISOLATED = """
import sys
from deployctl.cli import main
try:
    main(sys.argv[1:])
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"django", "celery"}, "Django was loaded"
"""


def verify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `deployctl verify` in a separate process, without environment and settings."""
    argv = [sys.executable, "-c", ISOLATED, "verify", *map(str, arguments)]
    return subprocess.run(argv, env={"LANG": "C.UTF-8"}, cwd="/", capture_output=True, text=True, check=False)


@pytest.fixture
def file(pack: EvidencePack, tmp_path: Path) -> Path:  # noqa: F811
    path = tmp_path / "pack.json"
    path.write_bytes(pack.content())
    return path


def test_a_pack_is_verified_without_django_database_or_environment(file: Path, tmp_path: Path) -> None:
    result = verify(file)
    assert (result.returncode, "byte for byte" in result.stdout) == (0, True), result.stderr
    assert "The key comes from the file itself" in result.stderr
    key_file = tmp_path / "key.pem"
    key_file.write_text(signed_statements.public_pem(signing_keys.public_key()))
    trusted = verify(file, "--public-key", key_file)
    assert (trusted.returncode, trusted.stderr) == (0, "")
    assert "signatures: 2" in trusted.stdout

    file.write_bytes(file.read_bytes().replace(b"Anybody checks", b"Nobody checks!", 1))
    broken = verify(file, "--json")
    assert broken.returncode == 1
    finding = json.loads(broken.stdout)
    assert not finding["ok"]
    assert finding["problems"][0]["location"].startswith("/contents/")


def test_an_unusable_key_is_reported(file: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    refused = verify(file, "--public-key", nonsense)
    assert (refused.returncode, "isn't a usable key" in refused.stderr) == (1, True)
    assert "isn't a fingerprint" in verify(file, "--fingerprint", "abc").stderr
