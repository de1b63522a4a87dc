"""Open the offsite stores that `DEPLOYCTL_OFFSITE` lists as addresses separated by whitespace.

    s3://BUCKET/PREFIX?endpoint=https://…&region=…&key=REFERENCE&secret=REFERENCE
    file:///mnt/offsite

Every address accepts the options `name=` (default: the name of the bucket or folder) and `recipient=`
(the public key to encrypt to).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlsplit

from deployctl.plugins import Catalogue
from deployctl.storage import age
from deployctl.storage.local import StorageError
from deployctl.storage.stores import Store, UnusableAddress

COMMON_OPTIONS = {"name", "recipient"}
STORES: Catalogue[Store] = Catalogue("deployctl.storage.stores", Store, "scheme")


def open_stores(
    addresses: Iterable[str], resolve: Callable[[str], str], *, setting: str = "DEPLOYCTL_OFFSITE"
) -> dict[str, Store]:
    """Return the stores by name, without connecting to them.

    Args:
        addresses: of the stores, in the format described above.
        resolve: returns the secret that a reference names; called for `key` and `secret`.
        setting: name of the setting that holds the addresses, for error messages.

    Raises:
        StorageError: an address is invalid, or two stores have the same name.
    """
    stores: dict[str, Store] = {}
    for address in addresses:
        try:
            store = _open(address, resolve)
            if store.name in stores:
                raise UnusableAddress(f"two stores are named {store.name}; rename one of them with name=")
        except UnusableAddress as error:
            # The address is not repeated: it may contain a password.
            raise StorageError(f"{setting} is invalid: {error}.") from None
        stores[store.name] = store
    return stores


def _open(address: str, resolve: Callable[[str], str]) -> Store:
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in STORES:
        prefixes = " or ".join(store.prefix for store in STORES.values())
        raise UnusableAddress(f"an address must begin with {prefixes}")
    store = STORES[parts.scheme]
    if unknown := options.keys() - COMMON_OPTIONS - store.options:
        raise UnusableAddress(f"{parts.scheme} has no option {', '.join(sorted(unknown))}")
    if recipient := options.get("recipient", ""):
        age.check_recipient(recipient)
    return store.open(parts, options, resolve)
