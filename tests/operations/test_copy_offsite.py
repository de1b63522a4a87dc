"""Offsite copies in a folder and in a bucket: contents, encryption and failures."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import io
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import boto3
import pyrage
import pytest

from deployctl.operations.backup import manifest
from deployctl.operations.backup.manifest import Damaged, Manifest, Source
from deployctl.operations.backup.retention import KeptBackup
from deployctl.operations.framework.base import Cancelled, CopyResult, OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.copy_offsite import CopyOffsite
from deployctl.postgres.connection import ConnectionSpec
from deployctl.storage import StorageError
from deployctl.storage.offsite import open_stores
from deployctl.storage.stores import Store
from deployctl.storage.stores.file import FolderStore
from deployctl.storage.stores.s3 import S3Options, S3Store
from tests.moto_server import aws, moto_server  # noqa: F401 (fixtures)

NOW = dt.datetime.now(dt.UTC)
CONTENT = {"toc.dat": b"toc", "data/1.dat.gz": b"rows" * 100_000, "data/empty": b""}


class MemoryCatalog:
    """A backup catalog in memory."""

    def __init__(self, *stores: Store) -> None:
        self._stores = {store.name: store for store in stores}
        self.on_record: list[KeptBackup] = []
        self.copies: dict[tuple[str, str], CopyResult] = {}

    def backups(self) -> tuple[KeptBackup, ...]:
        return tuple(self.on_record)

    def physical(self) -> tuple[KeptBackup, ...]:
        return ()

    def stores(self) -> Mapping[str, Store]:
        return self._stores

    def copied(self, store: str) -> frozenset[str]:
        return frozenset(backup for backup, name in self.copies if name == store)

    def record_copy(self, backup: KeptBackup, *, store: Store, result: CopyResult) -> None:
        self.copies[backup.name, store.name] = result


def job_with(tmp_path: Path, *stores: Store, **params: Any) -> FakeJob:
    """Return a job whose target has one backup, `shop-1`."""
    job = FakeJob(ConnectionSpec(host="", port=0, user="", password="", dbname=""), tmp_path=tmp_path)
    job.params, job.backup_catalog = CopyOffsite.parse_params(params), MemoryCatalog(*stores)
    with job.target.backups.partial("shop-1") as partial:
        for path, content in CONTENT.items():
            (partial.path / path).parent.mkdir(exist_ok=True)
            (partial.path / path).write_bytes(content)
        source = Source("shop", "shop", 1, None, "15", "UTF8", "C", "C")
        files = manifest.files_of(partial.path)
        made = Manifest("shop-1", "directory", "gzip:1", "15", NOW, source, (), files)
        digest = made.write(partial.path)
        partial.publish()
    job.backup_catalog.on_record.append(KeptBackup("shop-1", NOW, "hashed", made.size_bytes, digest))
    return job


@pytest.fixture
def offsite(tmp_path: Path) -> Path:
    (tmp_path / "offsite").mkdir()
    return tmp_path / "offsite"


@pytest.fixture
def bucket(aws: str) -> str:  # noqa: F811
    name = f"backups-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    return name


def s3_store(bucket: str, endpoint: str, **options: Any) -> S3Store:
    return S3Store("bucket", S3Options(bucket, "copies", endpoint, "eu-central-1"), **options)


def check_with_sha256sum(copy: Path) -> None:
    argv = ["/usr/bin/env", "sha256sum", "-c", "copy.sha256"]
    checked = subprocess.run(argv, cwd=copy, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_copy_in_a_folder_is_complete_and_passes_sha256sum(tmp_path: Path, offsite: Path) -> None:
    job = job_with(tmp_path, FolderStore("disk", offsite))

    outcome = CopyOffsite().perform(job)

    copy = offsite / "shop" / "shop-1"
    for path, content in CONTENT.items():
        assert (copy / path).read_bytes() == content
    check_with_sha256sum(copy)
    result = job.backup_catalog.copies["shop-1", "disk"]
    assert result.digest == hashlib.sha256((copy / "copy.sha256").read_bytes()).hexdigest()
    assert outcome.facts["copies"] == {"disk": result.digest}
    assert not list(offsite.rglob("*.partial"))


def test_a_copy_in_a_bucket_is_complete(tmp_path: Path, bucket: str, aws: str) -> None:  # noqa: F811
    job = job_with(tmp_path, s3_store(bucket, aws))

    CopyOffsite().perform(job)

    client = boto3.client("s3")
    for path, content in CONTENT.items():
        found = client.get_object(Bucket=bucket, Key=f"copies/shop/shop-1/{path}")
        assert found["Body"].read() == content
    assert ("shop-1", "bucket") in job.backup_catalog.copies
    assert [name for name, _ in job.steps][-2:] == ["Copy to bucket", "Read back from bucket"]


def test_an_encrypted_copy_is_readable_only_with_the_private_key(tmp_path: Path, offsite: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    job = job_with(tmp_path, FolderStore("disk", offsite, str(identity.to_public())))

    CopyOffsite().perform(job)

    copy = offsite / "shop" / "shop-1"
    for path, content in {**CONTENT, manifest.NAME: b"deployctl backup"}.items():
        stored = (copy / f"{path}.age").read_bytes()
        assert not content or content not in stored
        opened = pyrage.decrypt(stored, [identity])
        assert opened == content or (path == manifest.NAME and content in opened)
    assert not (copy / manifest.NAME).exists()
    check_with_sha256sum(copy)
    assert [path.name for path in job.target.backups.root.iterdir()] == ["shop-1"]


def test_an_encrypted_copy_can_be_stored_in_a_bucket(tmp_path: Path, bucket: str, aws: str) -> None:  # noqa: F811
    identity = pyrage.x25519.Identity.generate()
    job = job_with(tmp_path, s3_store(bucket, aws, recipient=str(identity.to_public())))

    CopyOffsite().perform(job)

    stored = boto3.client("s3").get_object(Bucket=bucket, Key="copies/shop/shop-1/data/1.dat.gz.age")
    assert pyrage.decrypt(stored["Body"].read(), [identity]) == CONTENT["data/1.dat.gz"]


def test_a_verified_copy_is_repeated_only_on_request(tmp_path: Path, offsite: Path) -> None:
    job = job_with(tmp_path, FolderStore("disk", offsite))
    CopyOffsite().perform(job)
    (offsite / "shop" / "shop-1" / "toc.dat").unlink()

    assert CopyOffsite().perform(job).summary == "Nothing to copy: every store has a verified copy of shop-1."
    job.params = CopyOffsite.parse_params({"again": "yes"})
    CopyOffsite().perform(job)

    assert (offsite / "shop" / "shop-1" / "toc.dat").read_bytes() == b"toc"


class CorruptingStore(FolderStore):
    """A store that loses or changes a file."""

    damage = ""

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        if key.endswith("1.dat.gz"):
            content = bytearray(source.read())
            if self.damage == "flipped":
                content[1000] ^= 1
            elif self.damage == "truncated":
                del content[1000:]
            elif self.damage == "lost":
                return
            source = io.BytesIO(content)
        super().put(key, source, advance)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("flipped", r"1\.dat\.gz in .* was read back differently"),
        ("truncated", r"1\.dat\.gz in .* has 1000 bytes instead of 400000"),
        ("lost", r"1\.dat\.gz in .* is missing"),
    ],
)
def test_a_store_that_changes_a_file_is_detected(
    tmp_path: Path, offsite: Path, damage: str, words: str
) -> None:
    store = CorruptingStore("disk", offsite)
    store.damage = damage
    job = job_with(tmp_path, store)

    with pytest.raises(OperationFailed, match=words):
        CopyOffsite().perform(job)
    assert not job.backup_catalog.copies


def test_an_unexpected_object_in_the_store_is_named(tmp_path: Path, offsite: Path) -> None:
    (offsite / "shop" / "shop-1").mkdir(parents=True)
    (offsite / "shop" / "shop-1" / "extra").write_bytes(b"")

    with pytest.raises(OperationFailed, match=r"shop-1/extra in .* is unexpected"):
        CopyOffsite().perform(job_with(tmp_path, FolderStore("disk", offsite)))


def test_a_damaged_backup_is_not_copied(tmp_path: Path, offsite: Path) -> None:
    job = job_with(tmp_path, FolderStore("disk", offsite))
    (job.target.backups.path("shop-1") / "toc.dat").write_bytes(b"TOC")

    with pytest.raises(Damaged, match=r"toc\.dat"):
        CopyOffsite().perform(job)
    assert not any(offsite.iterdir())


def test_cancellation_stops_the_copy_in_the_middle_of_a_file(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bucket: str,
    aws: str,  # noqa: F811
    offsite: Path,
) -> None:
    for store in (s3_store(bucket, aws), FolderStore("disk", offsite)):
        folder = tmp_path / store.name
        folder.mkdir(exist_ok=True)
        job = job_with(folder, store)
        monkeypatch.setattr(job, "log", lambda *_words, job=job, **_options: job.cancel())

        with pytest.raises(Cancelled):
            CopyOffsite().perform(job)
        assert not job.backup_catalog.copies


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"backup": "other"}, "shop has no backup other"),
        ({"store": "moon"}, "no offsite store moon. Stores: disk"),
    ],
)
def test_an_unknown_backup_or_store_is_named(
    tmp_path: Path, offsite: Path, params: dict[str, str], words: str
) -> None:
    with pytest.raises(OperationFailed, match=words):
        CopyOffsite().perform(job_with(tmp_path, FolderStore("disk", offsite), **params))


def test_without_a_store_the_missing_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="Set DEPLOYCTL_OFFSITE"):
        CopyOffsite().perform(job_with(tmp_path))


def test_an_unavailable_store_is_reported(tmp_path: Path, aws: str, bucket: str) -> None:  # noqa: F811
    stores: list[tuple[Store, str]] = [
        (FolderStore("disk", tmp_path / "unmounted"), "Check that its disk is mounted"),
        (s3_store("nowhere-bucket", aws), "The bucket does not exist"),
        (s3_store(bucket, "http://127.0.0.1:9"), "cannot be reached"),
    ]
    for number, (store, words) in enumerate(stores):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(StorageError, match=words):
            CopyOffsite().perform(job_with(folder, store))
    assert not (tmp_path / "unmounted").exists()


def test_stores_are_opened_by_their_addresses() -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    stores = open_stores(
        [
            "s3://backups/a/b?endpoint=https://s3.example.org&key=env:ID&secret=env:KEY&name=far",
            f"file:///mnt/offsite%20disk?recipient={key}",
        ],
        lambda reference: f"value of {reference}",
    )

    assert list(stores) == ["far", "offsite disk"]
    assert stores["far"].address == "s3://backups/a/b"
    assert "value of" not in repr(vars(stores["far"]))
    assert stores["offsite disk"].recipient == key


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/x", "must begin with file:/// or s3://"),
        ("file://relative/x", "an absolute path"),
        ("file:///", "an absolute path"),
        ("file:///mnt/x?endpoint=y", "file has no option endpoint"),
        ("s3://id:hunter2@bucket", "must be references"),
        ("s3://bucket?key=env:ID", "must be given together"),
        ("s3://bucket?recipient=age1nonsense", "isn't a valid public key"),
    ],
)
def test_an_invalid_address_is_explained_but_not_repeated(address: str, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught:
        open_stores([address], str)
    assert "hunter2" not in str(caught.value)


def test_two_stores_of_one_name_are_refused() -> None:
    with pytest.raises(StorageError, match="two stores are named x"):
        open_stores(["file:///a/x", "file:///b/x"], str)


def add_large_file(job: FakeJob) -> None:
    """Add a file of three parts to the job's backup."""
    folder = job.target.backups.path("shop-1")
    (folder / "large.dat").write_bytes(bytes(range(256)) * (12 << 12))
    made = dataclasses.replace(manifest.read(folder), files=manifest.files_of(folder))
    job.backup_catalog.on_record[0] = dataclasses.replace(
        job.backup_catalog.on_record[0], manifest_sha256=made.write(folder), size_bytes=made.size_bytes
    )


def test_a_large_file_is_uploaded_in_parts(
    tmp_path: Path,
    bucket: str,
    aws: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployctl.storage.stores.s3.PART_BYTES", 5 << 20)
    job = job_with(tmp_path, s3_store(bucket, aws))
    add_large_file(job)

    CopyOffsite().perform(job)

    found = boto3.client("s3").head_object(Bucket=bucket, Key="copies/shop/shop-1/large.dat")
    assert found["ContentLength"] == 12 << 20
    assert found["ETag"].strip('"').endswith("-3")


def test_cancellation_between_parts_leaves_no_incomplete_upload(
    tmp_path: Path,
    bucket: str,
    aws: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deployctl.storage.stores.s3.PART_BYTES", 5 << 20)
    job = job_with(tmp_path, s3_store(bucket, aws))
    add_large_file(job)

    def cancel_in_the_middle(done: int, _total: int | None, *, unit: str, phase: str = "") -> None:
        if phase == "copy" and done > 5 << 20:
            job.cancel()

    monkeypatch.setattr(job, "advance", cancel_in_the_middle)
    monkeypatch.setattr("deployctl.operations.backup.integrity_check.REPORT_EVERY_S", 0)

    with pytest.raises(Cancelled):
        CopyOffsite().perform(job)

    client = boto3.client("s3")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert "copies/shop/shop-1/large.dat" not in str(client.list_objects_v2(Bucket=bucket))
    assert not job.backup_catalog.copies
