"""Store copies in an S3-compatible bucket through boto3."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Self
from urllib.parse import SplitResult, unquote

from deployctl.storage.local import StorageError
from deployctl.storage.stores import CHUNK_BYTES, Store, UnusableAddress

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 5, 60, 4
PART_BYTES = 64 << 20  # S3 allows 10,000 parts, so files may have up to 640 GB

NOT_ALLOWED = "The credentials lack permission. Allow s3:PutObject, s3:GetObject and s3:ListBucket."
NOT_FOUND = "An object that was written earlier is missing."
ERROR_MESSAGES = {
    "NoSuchBucket": "The bucket does not exist. Create it or correct DEPLOYCTL_OFFSITE.",
    "NoSuchKey": NOT_FOUND,
    "404": NOT_FOUND,
    "AccessDenied": NOT_ALLOWED,
    "403": NOT_ALLOWED,
    "InvalidAccessKeyId": "The store does not recognize the access key. Renew it.",
    "SignatureDoesNotMatch": "The secret key or this machine's clock is wrong.",
    "ExpiredToken": "The credentials have expired. Renew them.",
}


@dataclass(frozen=True)
class S3Options:
    """The location of a bucket and its credentials.

    Without keys, boto3 looks for credentials in the role, the profile and the environment.
    """

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
        options: location and credentials.
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
        self._cached_client: Any = None

    @classmethod
    def open(cls, address: SplitResult, options: Mapping[str, str], resolve: Callable[[str], str]) -> Self:
        """Return the store. Its default name is that of the bucket."""
        if not address.netloc or address.username or address.password:
            raise UnusableAddress(
                "s3:// must be followed by a bucket, and credentials must be references (key=, secret=)"
            )
        if ("key" in options) != ("secret" in options):
            raise UnusableAddress("key= and secret= must be given together")
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
        """Upload the object, in parts if it is large. A failed multipart upload is aborted."""
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
                    # `advance` writes progress and must be called from this thread.
                    use_threads=False,
                ),
            )

    def read(self, key: str) -> Iterator[bytes]:
        """Download the object in chunks."""
        with self._errors():
            response = self._client.get_object(Bucket=self._options.bucket, Key=self._prefix + key)
            yield from response["Body"].iter_chunks(CHUNK_BYTES)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every object with the prefix, fetched page by page."""
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
        if self._cached_client is None:
            self._cached_client = _make_client(self._options)
        return self._cached_client

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as BotoConnectionError

        try:
            yield
        except (BotoConnectionError, HTTPClientError) as error:
            server = self._options.endpoint or "S3"
            raise StorageError(
                f"{server} cannot be reached or closed the connection. The local backup is unchanged; retry."
            ) from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            reason = ERROR_MESSAGES.get(code, f"Error code: {code or 'none'}.")
            raise StorageError(
                f"{self.address} refused the request. {reason} The local backup is unchanged."
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            raise StorageError(f"The request to {self.address} failed: {error}.") from error


def _make_client(options: S3Options) -> Any:
    import boto3  # slow to import, and not needed by installations without a bucket
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # Many compatible servers support neither buckets as host names nor the newer checksums.
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
