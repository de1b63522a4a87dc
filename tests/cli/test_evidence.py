"""`deployctl evidence`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from checklists.models import Deployment
from deployctl.audit import signing_keys
from deployctl.cli.evidence import evidence
from deployctl.errors import InvalidInput
from signoff.models import EvidencePack
from signoff.verifier import files
from tests.signoff.conftest import deployment  # noqa: F401 (fixture)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(evidence, arguments)


def test_a_deployment_is_exported_in_three_formats(deployment: Deployment, tmp_path: Path) -> None:  # noqa: F811
    result = call("export", "--deployment", str(deployment.pk), "--output", str(tmp_path), "--json")
    written = [Path(path) for path in json.loads(result.output)["files"]]
    assert sorted(path.suffix for path in written) == [".json", ".md", ".pdf"]
    pack = next(path for path in written if path.suffix == ".json")
    assert files.verify(pack, [signing_keys.public_key()]).ok
    assert EvidencePack.objects.get().digest in call("list").output


def test_a_period_is_exported_as_one_archive(deployment: Deployment, tmp_path: Path) -> None:  # noqa: F811
    result = call(
        *("export", "--target", "shop", "--from", "2020-01-01", "--to", "2999-12-31"),
        *("--output", str(tmp_path)),
    )
    assert result.exit_code == 0, result.output
    [archive] = tmp_path.glob("*.zip")
    assert files.verify(archive).ok


def test_export_needs_a_deployment_or_a_target_and_a_period(deployment: Deployment) -> None:  # noqa: F811
    for arguments in [(), ("--deployment", "1", "--target", "shop"), ("--target", "shop")]:
        assert isinstance(call("export", *arguments).exception, InvalidInput), arguments
