"""Store backups in a local folder, receive uploads, and copy backups to offsite stores."""

from deployctl.storage.local import LocalFolder, Partial, StorageError
from deployctl.storage.uploads import Uploads

__all__ = ["LocalFolder", "Partial", "StorageError", "Uploads"]
