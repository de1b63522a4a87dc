"""Where backups live."""

from deployctl.storage.local import LocalFolder, Partial, StorageError
from deployctl.storage.uploads import Uploads

__all__ = ["LocalFolder", "Partial", "StorageError", "Uploads"]
