"""Which offsite stores there are: `DEPLOYCTL_OFFSITE` holds their addresses, separated by white space.

    s3://BUCKET/PREFIX?endpoint=https://…&region=…&key=REFERENCE&secret=REFERENCE
    file:///mnt/offsite

Every address may have `name=` (else the bucket's or the folder's) and `recipient=` (a public key).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlsplit

from deployctl.plugins import Catalogue
from deployctl.storage import age
from deployctl.storage.local import StorageError
from deployctl.storage.stores import Store, UnusableAddress

COMMON = {"name", "recipient"}
STORES: Catalogue[Store] = Catalogue("deployctl.storage.stores", Store, "scheme")


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
                raise UnusableAddress(
                    f"two stores are called {store.name}; give one of them another with name="
                )
        except UnusableAddress as error:
            # The address is not repeated: somebody may have put a password into it.
            raise StorageError(f"{setting} cannot be used: {error}.") from None
        stores[store.name] = store
    return stores


def _open(address: str, resolve: Callable[[str], str]) -> Store:
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    if parts.scheme not in STORES:
        prefixes = " or ".join(store.prefix for store in STORES.values())
        raise UnusableAddress(f"an address begins with {prefixes}")
    store = STORES[parts.scheme]
    if unknown := options.keys() - COMMON - store.options:
        raise UnusableAddress(f"{parts.scheme} knows no {', '.join(sorted(unknown))}")
    if recipient := options.get("recipient", ""):
        age.check_recipient(recipient)
    return store.open(parts, options, resolve)
