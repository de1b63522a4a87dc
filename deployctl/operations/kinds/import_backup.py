"""Import an uploaded file as a backup: detect its format, unpack, hash, read back, publish."""

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

# Limit of a backup's rows and bytes together: PostgreSQL's bigint.
MAX_TOTAL = 2**63 - 1
FIRST_YEAR = 1990  # before the first release of PostgreSQL


class ImportBackup(Operation):
    """Add an uploaded dump, or a backup downloaded from deployctl, to the backups of the target."""

    kind: ClassVar[str] = "import_backup"
    title: ClassVar[str] = "Import backup"
    help: ClassVar[str] = (
        "Turns an uploaded file into a backup: a custom-format dump, a tar of a directory-format dump, or a "
        "downloaded backup. Detects the format, unpacks within limits, hashes the files and reads them back."
    )
    changes_target: ClassVar[bool] = False
    # It doesn't touch the database, and the backup is listed only when it is complete.
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 24 * 3600
    has_button: ClassVar[bool] = False

    @dataclass(frozen=True)
    class Params:
        upload: str = param(label="Upload", help="The upload's number.", maximum=32)
        file_name: str = param(
            "", label="File", help="The uploaded file's name, for the record.", maximum=200
        )

    def perform(self, job: Job) -> Outcome:
        uploads, number = job.target.uploads, job.params.upload
        name = f"{slug(job.target.name)}-uploaded-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}-run{job.run_id}"
        with _disk_errors(job), uploads.unpack_folder(number, name) as partial:
            with job.step("Detect the format"):
                upload = uploads.file(number)
                upload_format = upload_extraction.detect_format(upload)
                job.log(f"Format {upload_format.value}, {pluralize(upload.stat().st_size, 'byte')}.")
            with job.step("Unpack"):
                _unpack(job, upload, upload_format, partial.path)
            with job.step("Check the table of contents"):
                written = _find_manifest(job, name, upload_format, partial.path)
            with job.step("Read the files back"):
                digest = read_back(job, partial.path, written)
            # Before publishing, because a published folder without a record is never deleted.
            outcome = _outcome(job, name, job.target.backups.path_for(name), written, digest)
            with job.step("Publish"):
                job.raise_if_cancelled()
                partial.publish()
        return outcome


def _unpack(job: Job, upload: Path, upload_format: UploadFormat, folder: Path) -> None:
    if upload_format == UploadFormat.CUSTOM:
        upload.rename(folder / manifest.CUSTOM_FILE)
        return
    size, uploads = upload.stat().st_size, job.target.uploads
    uploads.check_free_space(size)
    upload_extraction.extract(
        upload,
        upload_format,
        folder,
        max_bytes=uploads.max_unpacked_bytes,
        free_bytes=uploads.usable_bytes(),
        advance=byte_progress(job, size, "unpack"),
    )
    upload.unlink()  # frees space for the following steps


def _find_manifest(job: Job, name: str, upload_format: UploadFormat, folder: Path) -> Manifest:
    """Return the upload's own manifest, or write one, after checking that pg_restore can read the dump."""
    is_custom = (folder / manifest.CUSTOM_FILE).exists()
    found = dump_toc.read(job, folder / manifest.CUSTOM_FILE if is_custom else folder)
    if (folder / manifest.NAME).exists():
        return _read_uploaded_manifest(job, folder, is_custom=is_custom)
    (folder / manifest.SUM_NAME).unlink(missing_ok=True)
    if upload_format != UploadFormat.CUSTOM:
        _refuse_missing_files(found, folder)
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
        "It has no row counts or digests, so a test restore can't compare the content."
    )
    return written


def _read_uploaded_manifest(job: Job, folder: Path, *, is_custom: bool) -> Manifest:
    """Check and return the upload's own manifest; it stays unchanged, because its digest may be on record."""
    try:
        upload_extraction.refuse_complex_manifest(folder / manifest.NAME)
        written = manifest.read(folder)
        refuse_invalid_manifest(written)
        if (written.format == "custom") != is_custom:
            raise UploadRefused(
                f"{manifest.NAME} states the format {written.format}, but the dump has another."
            )
        manifest.check(folder, written, advance=byte_progress(job, written.size_bytes, "check"))
        total = sum(count.rows for count in written.counts)
    except (manifest.Damaged, TypeError) as error:
        raise UploadRefused(
            f"The manifest in the upload doesn't match its files: {error}.".replace("..", ".")
        ) from error
    content = f"{pluralize(len(written.counts), 'table')} with {pluralize(total, 'row')}"
    job.log(f"The manifest in the upload matches its files: {content}.")
    return written


def refuse_invalid_manifest(written: Manifest) -> None:
    """Refuse a manifest with values that a backup's database row can't store.

    Raises:
        UploadRefused: naming the invalid value.
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
        raise UploadRefused(f"{manifest.NAME} has an invalid text.")
    if not all(type(number) is int and number >= 0 for number in numbers) or sum(numbers) > MAX_TOTAL:
        raise UploadRefused(f"{manifest.NAME} has an invalid number of rows or bytes.")
    if len({file.path for file in written.files}) < len(written.files):
        raise UploadRefused(f"{manifest.NAME} lists a file twice.")
    if written.format not in manifest.FORMATS:
        raise UploadRefused(f"{manifest.NAME} has an unknown dump format.")
    if not dump_toc.RELEASE.fullmatch(written.tool_version):
        raise UploadRefused(f"{manifest.NAME} has an invalid version of pg_dump.")
    if written.snapshot_at.tzinfo is None:
        raise UploadRefused(f"{manifest.NAME} has a time without a time zone.")
    if not FIRST_YEAR <= written.snapshot_at.year <= dt.datetime.now(dt.UTC).year + 1:
        raise UploadRefused(f"{manifest.NAME} has an invalid year: {written.snapshot_at.year}.")


def _refuse_missing_files(found: TableOfContents, folder: Path) -> None:
    """Refuse a dump that lacks data files. A tar of an incomplete folder still has a table of contents."""
    present = {path.name.split(".")[0] for path in folder.iterdir()}
    if missing := [number for number in found.data_numbers if number not in present]:
        raise UploadRefused(
            f"The data of {len(missing)} of {pluralize(len(found.data_numbers), 'table')} is missing, such "
            f"as {missing[0]}.dat."
        )


@contextlib.contextmanager
def _disk_errors(job: Job) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "is full" if full else f"can't be used: {error.strerror or error}"
        raise OperationFailed(
            f"The disk of {job.target.backups.root} {why}. The upload was deleted; earlier backups are "
            "untouched. " + ("Free some space, then upload it again." if full else "Upload it again.")
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
            f"Imported backup {name}: {extent(written)}, every file read back. "
            "Use “Test restore” to check that it can be restored."
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
