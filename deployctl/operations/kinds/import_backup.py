"""Make a backup of a file that somebody sent in: look what it is, unpack, hash, read back, publish."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deployctl.operations.backup import dump_toc, manifest, upload_extraction
from deployctl.operations.backup.dump_plan import slug
from deployctl.operations.backup.dump_toc import TableOfContents
from deployctl.operations.backup.integrity_check import byte_progress, extent, read_back
from deployctl.operations.backup.manifest import Manifest, Source
from deployctl.operations.backup.upload_extraction import NOT_STORED, UploadFormat, UploadRefused
from deployctl.operations.framework.base import (
    BackupArtefact,
    Job,
    Operation,
    OperationFailed,
    Outcome,
    param,
)
from deployctl.text import pluralize

# All rows or bytes of a backup together; PostgreSQL's bigint.
MOST = 2**63 - 1
# Before the first PostgreSQL.
FIRST_YEAR = 1990


class ImportBackup(Operation):
    """Take a dump that was made elsewhere, or a downloaded backup, into the backups of the target."""

    kind: ClassVar[str] = "import_backup"
    title: ClassVar[str] = "Import a backup"
    help: ClassVar[str] = (
        "Makes a backup of a file that was sent in: a custom-format dump, a tar of a dump in directory "
        "format, or a downloaded backup. Checks what it is, unpacks within limits, hashes it, reads it back."
    )
    changes_target: ClassVar[bool] = False
    # It never touches the database, and nobody sees what it writes before that is whole.
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600
    has_button: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        upload: str = param(label="Upload", help="The number of what was sent in.", maximum=32)
        file_name: str = param("", label="File", help="What it was called, for the record.", maximum=200)

    def perform(self, job: Job) -> Outcome:
        uploads, number = job.target.uploads, job.params.upload
        name = f"{slug(job.target.name)}-uploaded-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-run{job.run_id}"
        with _disk_errors(job), uploads.unpack_folder(number, name) as partial:
            with job.step("Look what it is"):
                received = uploads.file(number)
                form = upload_extraction.detect_format(received)
                job.log(f"{received.stat().st_size:,} bytes: {form.value}.")
            with job.step("Unpack"):
                _unpack(job, received, form, partial.path)
            with job.step("Check the table of contents"):
                written = _manifest_of(job, name, form, partial.path)
            with job.step("Read everything back"):
                digest = read_back(job, partial.path, written)
            # Before the publishing: a folder that nobody records would stay for ever.
            outcome = _outcome(job, name, job.target.backups.path_for(name), written, digest)
            with job.step("Publish"):
                job.raise_if_cancelled()
                partial.publish()
        return outcome


def _unpack(job: Job, received: Path, form: UploadFormat, folder: Path) -> None:
    if form == UploadFormat.CUSTOM:
        received.rename(folder / manifest.CUSTOM_FILE)
        return
    size, uploads = received.stat().st_size, job.target.uploads
    uploads.check_free_space(size)
    upload_extraction.extract(
        received,
        form,
        folder,
        at_most=uploads.max_unpacked_bytes,
        room=uploads.usable_bytes(),
        advance=byte_progress(job, size, "unpack"),
    )
    received.unlink()  # half of the space is free again while the rest is done


def _manifest_of(job: Job, name: str, form: UploadFormat, folder: Path) -> Manifest:
    """The manifest that came with it, or one that is made here; either way pg_restore can read the dump."""
    is_custom = (folder / manifest.CUSTOM_FILE).exists()
    found = dump_toc.read(job, folder / manifest.CUSTOM_FILE if is_custom else folder)
    if (folder / manifest.NAME).exists():
        return _that_came_with_it(job, folder, is_custom=is_custom)
    (folder / manifest.SUM_NAME).unlink(missing_ok=True)
    if form != UploadFormat.CUSTOM:
        _refuse_gaps(found, folder)
    size = sum((folder / path).stat().st_size for path in manifest.paths_of(folder))
    written = Manifest(
        name=name,
        format="custom" if is_custom else "directory",
        compression=found.compression,
        tool_version=found.tool_version,
        snapshot_at=found.created_at,
        source=Source(
            target=job.target.name,
            database=found.database,
            database_oid=0,
            system_identifier=None,
            server_version=found.server_version,
            encoding="",
            collate="",
            ctype="",
        ),
        counts=(),
        files=manifest.files_of(folder, advance=byte_progress(job, size, "hash")),
        counted=False,
    )
    written.write(folder)
    job.log(
        f"A dump of {found.database} by pg_dump {found.tool_version} from PostgreSQL {found.server_version}. "
        "It came without counts and digests, so a restored copy cannot be compared with anything."
    )
    return written


def _that_came_with_it(job: Job, folder: Path, *, is_custom: bool) -> Manifest:
    """Kept byte by byte, so that its digest is still the one on record where the backup was made."""
    try:
        upload_extraction.refuse_complex_manifest(folder / manifest.NAME)
        written = manifest.read(folder)
        refuse_invalid_manifest(written)
        if (written.format == "custom") != is_custom:
            raise UploadRefused(f"{manifest.NAME} says {written.format}, which the dump is not.")
        manifest.check(folder, written, advance=byte_progress(job, written.size_bytes, "check"))
        total = sum(count.rows for count in written.counts)
    except (manifest.Damaged, TypeError) as error:
        raise UploadRefused(
            f"The manifest in the upload does not fit it: {error}.".replace("..", ".")
        ) from error
    told = f"{pluralize(len(written.counts), 'table')} with {pluralize(total, 'row')}"
    job.log(f"The manifest that came with it fits: {told}.")
    return written


def refuse_invalid_manifest(written: Manifest) -> None:
    """Refuse what JSON can say in a manifest and no record of a backup can hold.

    Raises:
        UploadRefused: naming what.
    """
    source, large_objects = dict(vars(written.source)), written.large_objects
    sizes = (file.size for file in written.files)
    numbers = [source.pop("database_oid"), *(count.rows for count in written.counts), *sizes]
    optional = [source.pop("system_identifier"), *(count.digest for count in written.counts)]
    texts = [*source.values(), written.name, written.format, written.compression, written.tool_version]
    texts += [text for count in written.counts for text in (count.schema, count.table)]
    texts += [text for file in written.files for text in (file.path, file.sha256)]
    texts += [text for text in optional if text is not None]
    if large_objects is not None:
        numbers, texts = [*numbers, large_objects.count], [*texts, large_objects.digest]
    if not all(isinstance(text, str) and not NOT_STORED.search(text) for text in texts):
        raise UploadRefused(f"{manifest.NAME} has something else in the place of a text.")
    if not all(type(number) is int and number >= 0 for number in numbers) or sum(numbers) > MOST:
        raise UploadRefused(f"{manifest.NAME} has something else in the place of a number of rows or bytes.")
    if len({file.path for file in written.files}) < len(written.files):
        raise UploadRefused(f"{manifest.NAME} lists a file twice.")
    if written.format not in manifest.FORMATS:
        raise UploadRefused(f"{manifest.NAME} names no format of a dump.")
    if not dump_toc.RELEASE.fullmatch(written.tool_version):
        raise UploadRefused(f"{manifest.NAME} names no version of pg_dump.")
    if written.snapshot_at.tzinfo is None:
        raise UploadRefused(f"{manifest.NAME} does not say in which zone its time is.")
    if not FIRST_YEAR <= written.snapshot_at.year <= dt.datetime.now(dt.UTC).year + 1:
        raise UploadRefused(f"{manifest.NAME} says that it is from the year {written.snapshot_at.year}.")


def _refuse_gaps(found: TableOfContents, folder: Path) -> None:
    """A tar that was made of half a folder has a table of contents all the same."""
    there = {path.name.split(".")[0] for path in folder.iterdir()}
    if missing := [number for number in found.data_numbers if number not in there]:
        raise UploadRefused(
            f"The rows of {len(missing)} of {pluralize(len(found.data_numbers), 'table')} are missing, such "
            f"as {missing[0]}.dat."
        )


@contextlib.contextmanager
def _disk_errors(job: Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "is full" if full else f"cannot be used: {error.strerror or error}"
        raise OperationFailed(
            f"The disk of {job.target.backups.root} {why}. What was sent in is gone; earlier backups are "
            "untouched. " + ("Free some space, then send it again." if full else "Send it again.")
        ) from error


def _outcome(job: Job, name: str, path: Path, written: Manifest, digest: str) -> Outcome:
    artefact = BackupArtefact(
        name=name,
        path=path,
        format=written.format,
        size_bytes=written.size_bytes,
        files=len(written.files),
        server_version=written.source.server_version[:60],
        tool_version=written.tool_version[:60],
        snapshot_at=min(written.snapshot_at, dt.datetime.now(dt.UTC)),
        manifest_sha256=digest,
        counts={count.key: count.rows for count in written.counts},
        uploaded_from=job.params.file_name or "a file",
    )
    return Outcome(
        summary=(
            f"Backup {name} was taken in: {extent(written)}, "
            "every byte read back. Whether it can be restored nobody knows yet; “Test a restore” tells."
        ),
        facts={
            "name": name,
            "format": artefact.format,
            "size_bytes": artefact.size_bytes,
            "files": artefact.files,
            "counted": written.counted,
            "digests": written.has_digests,
            "snapshot_at": artefact.snapshot_at.isoformat(),
            "server_version": artefact.server_version,
            "tool_version": artefact.tool_version,
            "manifest_sha256": digest,
        },
        artefact=artefact,
    )
