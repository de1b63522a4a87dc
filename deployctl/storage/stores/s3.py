"""Copies in an S3-compatible bucket, through boto3."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Self
from urllib.parse import SplitResult, unquote

from deployctl.storage.local import StorageError
from deployctl.storage.stores import CHUNK_BYTES, Store, UnusableAddress

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 5, 60, 4
PART_BYTES = 64 << 20  # 10,000 parts at most (S3): files up to 640 GB

NOT_ALLOWED = "The credentials may not do this. Allow s3:PutObject, s3:GetObject and s3:ListBucket."
REFUSALS = {
    "NoSuchBucket": "The bucket does not exist. Make it, or mend DEPLOYCTL_OFFSITE.",
    "NoSuchKey": "An object that was written is not there.",
    "404": "An object that was written is not there.",
    "AccessDenied": NOT_ALLOWED,
    "403": NOT_ALLOWED,
    "InvalidAccessKeyId": "The access key is not known there. Renew it.",
    "SignatureDoesNotMatch": "The secret key is not the right one, or the clock is wrong.",
    "ExpiredToken": "The credentials have expired. Renew them.",
}


@dataclass(frozen=True)
class S3Options:
    """Where a bucket is and who asks. Without keys, boto3 finds credentials (role, profile, variables)."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)


class S3Store(Store):
    """A bucket, at `s3://BUCKET/PREFIX`.

    Args:
        name: of the store.
        options: see there.
        recipient: see `Store`.
    """

    scheme: ClassVar[str] = "s3"
    prefix: ClassVar[str] = "s3://"
    options: ClassVar[frozenset[str]] = frozenset({"endpoint", "region", "key", "secret"})

    def __init__(self, name: str, options: S3Options, recipient: str = "") -> None:
        self.name, self.recipient = name, recipient
        self.address = f"s3://{options.bucket}/{options.prefix}".rstrip("/")
        self._options = options
        self._prefix = f"{options.prefix}/" if options.prefix else ""
        self._made: Any = None

    @classmethod
    def open(cls, address: SplitResult, options: Mapping[str, str], resolve: Callable[[str], str]) -> Self:
        """Return the store; its name is that of the bucket unless another is given."""
        if not address.netloc or address.username or address.password:
            raise UnusableAddress(
                "after s3:// comes a bucket, and credentials are given by reference (key=, secret=)"
            )
        if ("key" in options) != ("secret" in options):
            raise UnusableAddress("key= and secret= belong together")
        bucket = S3Options(
            bucket=address.netloc,
            prefix=unquote(address.path).strip("/"),
            endpoint=options.get("endpoint", ""),
            region=options.get("region", ""),
            access_key=resolve(options["key"]) if "key" in options else "",
            secret_key=resolve(options["secret"]) if "secret" in options else "",
        )
        return cls(options.get("name") or bucket.bucket, bucket, options.get("recipient", ""))

    def put(self, key: str, source: BinaryIO, advance: Callable[[int], None]) -> None:
        """Upload, large files in parts; an upload that fails half-way is taken back."""
        from boto3.s3.transfer import TransferConfig

        with self._errors():
            self._client.upload_fileobj(
                source,
                self._options.bucket,
                self._prefix + key,
                Callback=advance,
                Config=TransferConfig(
                    multipart_threshold=PART_BYTES,
                    multipart_chunksize=PART_BYTES,
                    # `advance` writes progress, which belongs to this thread.
                    use_threads=False,
                ),
            )

    def read(self, key: str) -> Iterator[bytes]:
        """Download in pieces."""
        with self._errors():
            answer = self._client.get_object(Bucket=self._options.bucket, Key=self._prefix + key)
            yield from answer["Body"].iter_chunks(CHUNK_BYTES)

    def sizes(self, prefix: str) -> dict[str, int]:
        """List the keys, page by page."""
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._options.bucket, Prefix=self._prefix + prefix
            )
            return {
                found["Key"].removeprefix(self._prefix): found["Size"]
                for page in pages
                for found in page.get("Contents", ())
            }

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = _client(self._options)
        return self._made

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as BotoConnectionError

        try:
            yield
        except (BotoConnectionError, HTTPClientError) as error:
            where = self._options.endpoint or "S3"
            raise StorageError(
                f"{where} cannot be reached, or broke off. What was to be copied is untouched; copy it again."
            ) from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            why = REFUSALS.get(code, f"It said: {code or 'nothing'}.")
            raise StorageError(
                f"{self.address} did not do what it was asked. {why} What was to be copied is untouched."
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            raise StorageError(f"{self.address} could not be used: {error}.") from error


def _client(options: S3Options) -> Any:
    import boto3  # slow to import, and not needed by installations without a bucket
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # Many compatible servers know neither buckets as host names nor the newer checksums.
        s3={"addressing_style": "path" if options.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint or None,
        region_name=options.region or ("us-east-1" if options.endpoint else None),
        aws_access_key_id=options.access_key or None,
        aws_secret_access_key=options.secret_key or None,
        config=config,
    )
