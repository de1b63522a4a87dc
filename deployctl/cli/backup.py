"""`deployctl backup`: the backups that were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_rows

if TYPE_CHECKING:
    from deployctl.runs.models import Backup


@click.group()
def backup() -> None:
    """List backups; `deployctl run backup` makes one."""


@backup.command("list")
@click.option("--target", "name", metavar="NAME", help="Only those of this target.")
@json_option
def list_(*, name: str | None, as_json: bool) -> None:
    """List backups, newest first."""
    _django.setup()
    from deployctl.runs.models import Backup, Target

    found = Backup.objects.all().for_display()
    if name is not None:
        found = found.filter(target=Target.objects.called(name))
    print_rows(
        [_facts(one) for one in found],
        columns={
            "name": "name",
            "target": "target",
            "trust": "trust",
            "snapshot_at": "taken",
            "size_bytes": "bytes",
        },
        as_json=as_json,
        empty="There is no backup yet. Make one with `deployctl run backup --target NAME --wait`.",
    )


def _facts(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "target": backup.target.name,
        "trust": backup.trust.value,
        "run": backup.run_id,
        "path": str(backup.target.backup_folder().root / backup.name),
        "format": backup.format,
        "size_bytes": backup.size_bytes,
        "files": backup.files,
        "rows": backup.rows,
        "server_version": backup.server_version,
        "tool_version": backup.tool_version,
        "snapshot_at": backup.snapshot_at,
        "manifest_sha256": backup.manifest_sha256,
    }
