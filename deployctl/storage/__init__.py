"""Where backups live."""

from deployctl.storage.local import LocalFolder, Partial, StorageError

__all__ = ["LocalFolder", "Partial", "StorageError"]
