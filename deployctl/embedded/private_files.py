"""Small files that only their owner may read: passwords, keys, remembered ports."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

from deployctl.embedded.errors import FolderInUse

PASSWORD_BYTES = 24


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, readable (0600) by its owner alone, durable on return.

    Raises:
        OSError: when the folder cannot be written to.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    # The mode is given at creation: a chmod afterwards would leave a moment in which others can read.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def stored_password(path: Path) -> str:
    """Return the password kept in ``path``; the first call makes one up (letters and digits, 192 bits)."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    # Hexadecimal: safe unquoted in URLs, in redis.conf and in SQL literals alike.
    password = secrets.token_hex(PASSWORD_BYTES)
    write_private(path, password + "\n")
    return password


class FolderLock:
    """Held by the one process that works on a folder; the kernel releases it however that process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or say who has it.

        Raises:
            FolderInUse: when another process holds it.
        """
        if self._descriptor is not None:
            return
        # Python marks descriptors close-on-exec, so children never keep the lock alive.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"The data folder {self._path.parent} is already in use by process {holder}. Nothing was "
                "changed. Stop that one first, or choose another folder with DATA=…"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; calling it twice does no harm."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
