"""Which offsite stores there are: `DEPLOYCTL_OFFSITE` holds their addresses, separated by white space.

    s3://BUCKET/PREFIX?endpoint=https://…&region=…&key=REFERENCE&secret=REFERENCE
    file:///mnt/offsite

Every address may have `name=` (else the bucket's or the folder's) and `recipient=` (a public key).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from deployctl.storage import age
from deployctl.storage.folder_store import FolderStore
from deployctl.storage.local import StorageError
from deployctl.storage.s3 import S3Options, S3Store
from deployctl.storage.stores import Store

COMMON = {"name", "recipient"}
KNOWN = {"file": COMMON, "s3": COMMON | {"endpoint", "region", "key", "secret"}}


def open_stores(
    addresses: Iterable[str], resolve: Callable[[str], str], *, setting: str = "DEPLOYCTL_OFFSITE"
) -> dict[str, Store]:
    """The stores by name. Nothing is connected to yet.

    Args:
        addresses: see above.
        resolve: reads the secret that a reference names; called for `key` and `secret`.
        setting: where the addresses come from, for the messages.

    Raises:
        StorageError: an address cannot be used, or a name is there twice.
    """
    stores: dict[str, Store] = {}
    for address in addresses:
        try:
            store = _open(address, resolve)
            if store.name in stores:
                raise _Unusable(f"two stores are called {store.name}; give one of them another with name=")
        except _Unusable as error:
            # The address is not repeated: somebody may have put a password into it.
            raise StorageError(f"{setting} cannot be used: {error}.") from None
        stores[store.name] = store
    return stores


class _Unusable(Exception):
    """Why an address cannot be used, as the end of a sentence."""


def _open(address: str, resolve: Callable[[str], str]) -> Store:
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in KNOWN:
        raise _Unusable("an address begins with s3:// or file:///")
    if unknown := options.keys() - KNOWN[parts.scheme]:
        raise _Unusable(f"{parts.scheme} knows no {', '.join(sorted(unknown))}")
    recipient = options.get("recipient", "")
    if recipient:
        age.check_recipient(recipient)
    path = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc or path.strip("/") == "":
            raise _Unusable("after file:// comes an absolute path, such as file:///mnt/offsite")
        return FolderStore(options.get("name") or Path(path).name, Path(path), recipient)
    if not parts.netloc or parts.username or parts.password:
        raise _Unusable("after s3:// comes a bucket, and credentials are given by reference (key=, secret=)")
    if ("key" in options) != ("secret" in options):
        raise _Unusable("key= and secret= belong together")
    s3 = S3Options(
        bucket=parts.netloc,
        prefix=path.strip("/"),
        endpoint=options.get("endpoint", ""),
        region=options.get("region", ""),
        access_key=resolve(options["key"]) if "key" in options else "",
        secret_key=resolve(options["secret"]) if "secret" in options else "",
    )
    return S3Store(options.get("name") or s3.bucket, s3, recipient)
