"""`deployctl backup`: list, download, upload and expire backups."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployctl.cli import _django
from deployctl.cli._output import json_option, print_facts, print_rows
from deployctl.errors import DeployctlError, InvalidInput

if TYPE_CHECKING:
    from deployctl.operations.backup.archive import Archive
    from deployctl.runs.models import Backup

CHUNK_BYTES = 1 << 20


@click.group()
def backup() -> None:
    """List, download, upload and expire backups.

    To make a backup, use `deployctl run backup` or `deployctl run physical_backup`.
    """


@backup.command("list")
@click.option("--target", "name", metavar="NAME", help="Only backups of this target.")
@json_option
def list_(*, name: str | None, as_json: bool) -> None:
    """List backups, newest first."""
    _django.setup()
    from deployctl.runs.models import Backup, Target

    found = Backup.objects.all().for_display()
    if name is not None:
        found = found.filter(target=Target.objects.by_name(name))
    print_rows(
        [_facts(one) for one in found],
        columns={
            "name": "name",
            "target": "target",
            "engine": "engine",
            "trust": "trust",
            "snapshot_at": "snapshot",
            "size_bytes": "bytes",
        },
        as_json=as_json,
        empty="There are no backups yet. Make one with `deployctl run backup --target NAME --wait`.",
    )


@backup.command()
@click.option("--target", "name", metavar="NAME", help="Only backups of this target.")
@json_option
def copies(*, name: str | None, as_json: bool) -> None:
    """List offsite copies. To make one, use `deployctl run copy_offsite`."""
    _django.setup()
    from deployctl.runs.models import Copy, Target

    found = Copy.objects.select_related("backup__target")
    if name is not None:
        found = found.filter(backup__target=Target.objects.by_name(name))
    print_rows(
        [
            {
                "backup": copy.backup.name,
                "target": copy.backup.target.name,
                "store": copy.store,
                "address": f"{copy.address}/{copy.key}",
                "encrypted": bool(copy.recipient),
                "size_bytes": copy.size_bytes,
                "digest": copy.digest,
                "written_at": copy.written_at,
                "read_back_at": copy.read_back_at,
                "run": copy.run_id,
            }
            for copy in found
        ],
        columns={
            "backup": "backup",
            "store": "store",
            "encrypted": "encrypted",
            "size_bytes": "bytes",
            "read_back_at": "read back",
        },
        as_json=as_json,
        empty="There are no copies yet. Make one with `deployctl run copy_offsite --target NAME --wait`.",
    )


@backup.command()
@click.argument("name")
@click.option(
    "--to",
    "destination",
    metavar="FOLDER|FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="An existing folder, or a file to create. An existing file is never overwritten.",
)
@json_option
def download(*, name: str, destination: Path, as_json: bool) -> None:
    """Download a backup as a tar file; every byte is checked against the manifest."""
    _django.setup()
    from deployctl.runs.models import Backup

    found = Backup.objects.filter(name=name).select_related("target").first()
    if found is None:
        raise InvalidInput(f"There is no backup {name}. See `deployctl backup list`.")
    archive = found.download(by=_django.command_line_actor())
    path = _write_archive(archive, destination)
    print_facts({"file": str(path), "size_bytes": archive.size}, as_json=as_json)


@backup.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", "name", metavar="NAME", required=True, help="The target that the backup is for.")
@json_option
def upload(*, file: Path, name: str, as_json: bool) -> None:
    """Upload a dump or a downloaded backup; a worker checks and imports it.

    A dump contains SQL that runs with the privileges of the target's role when it is restored. Upload only
    dumps that you trust.
    """
    _django.setup()
    from deployctl.runs import uploads
    from deployctl.runs.models import Target

    target = Target.objects.by_name(name)
    with uploads.of(target).receive(announced=file.stat().st_size) as incoming:
        _read_file(file, incoming.write)
        number = incoming.finish()
        run = uploads.request_import(target, number, file_name=file.name, by=_django.command_line_actor())
        incoming.keep()
    print_facts({"run": run.pk, "target": target.name, "state": run.state}, as_json=as_json)


@backup.command()
@click.option("--target", "name", metavar="NAME", required=True, help="The target.")
@click.option("--dry-run", is_flag=True, help="Only show which backups would be deleted, and why.")
@json_option
def expire(*, name: str, dry_run: bool, as_json: bool) -> None:
    """Request a run that deletes the backups that a target's retention policy doesn't keep."""
    _django.setup()
    from deployctl.runs.models import Retention, Run, Target

    target = Target.objects.by_name(name)
    if dry_run:
        print_rows(
            [
                {
                    "name": verdict.backup.name,
                    "verdict": "delete" if verdict.is_deleted else "keep",
                    "why": verdict.why,
                    "trust": verdict.backup.trust,
                    "snapshot_at": verdict.backup.snapshot_at,
                    "size_bytes": verdict.backup.size_bytes,
                }
                for verdict in Retention.preview(target)
            ],
            columns={"name": "name", "verdict": "verdict", "why": "reason"},
            as_json=as_json,
            empty=f"There are no backups of {target}.",
        )
        return
    run = Run.request(target=target, kind="expire_backups", params={}, by=_django.command_line_actor())
    print_facts({"run": run.pk, "target": target.name, "state": run.state}, as_json=as_json)


@backup.command()
@click.option("--target", "name", metavar="NAME", required=True, help="The target.")
@click.option("--keep-days", type=int, help="Keep every backup that is younger than this many days.")
@click.option("--daily", type=int, help="Number of daily backups to keep: the newest of a day.")
@click.option("--weekly", type=int, help="Number of weekly backups to keep: the newest of a week.")
@click.option("--monthly", type=int, help="Number of monthly backups to keep: the newest of a month.")
@json_option
def retention(*, name: str, as_json: bool, **given: int | None) -> None:
    """Show a target's retention policy; the options change it."""
    _django.setup()
    from deployctl.runs.models import Retention, Target

    target = Target.objects.by_name(name)
    changes = {field: value for field, value in given.items() if value is not None}
    if changes:
        policy = dataclasses.replace(Retention.policy_of(target), **changes)
        Retention.set(target, policy, by=_django.command_line_actor())
    print_facts(dataclasses.asdict(Retention.policy_of(target)), as_json=as_json)


def _facts(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "target": backup.target.name,
        "trust": backup.trust.value,
        "origin": backup.origin,
        "run": backup.run_id,
        "engine": backup.engine,
        # pgBackRest finds the files of a physical backup by its label.
        "path": None if backup.is_physical else str(backup.target.backup_folder().root / backup.name),
        "label": backup.details.get("label"),
        "format": backup.format,
        "size_bytes": backup.size_bytes,
        "files": backup.files,
        "rows": None if backup.is_physical else backup.rows,
        "server_version": backup.server_version,
        "tool_version": backup.tool_version,
        "snapshot_at": backup.snapshot_at,
        "manifest_sha256": backup.manifest_sha256,
        "expired_at": backup.expired_at,
        "details": backup.details,
    }


def _write_archive(archive: Archive, destination: Path) -> Path:
    """Write a backup to a file that only its owner can read. It gets its final name when it is complete.

    Args:
        destination: an existing folder, or the file.

    Raises:
        InvalidInput: the file exists.
        DeployctlError: the file can't be written; nothing is left behind.
    """
    path = destination / archive.file_name if destination.is_dir() else destination
    if path.exists():
        raise InvalidInput(f"{path} already exists. Nothing was written; choose another file.")
    partial = path.with_name(path.name + ".partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for chunk in archive.chunks():
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DeployctlError(
            f"{path} could not be written: {error.strerror}. The incomplete file was removed; the backup is "
            "unchanged."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def _read_file(path: Path, write: Callable[[bytes], None]) -> None:
    """Read a file in chunks.

    Raises:
        DeployctlError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                write(chunk)
    except OSError as error:
        raise DeployctlError(f"{path} can't be read: {error.strerror}. Nothing was uploaded.") from error
