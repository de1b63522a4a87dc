"""Private files, readable only by their owner: passwords, keys, remembered ports. The lock of a folder."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path

from deployctl.embedded.errors import FolderInUse

PASSWORD_BYTES = 24


def write_private(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically and durably, with mode 0600.

    Raises:
        OSError: the file can't be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    # The mode is set at creation; before a later chmod, others could read the file.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def stored_password(path: Path) -> str:
    """Return the password in ``path``; the first call generates one (hexadecimal, 192 bits)."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    # Hexadecimal needs no quoting in URLs, redis.conf and SQL literals.
    password = secrets.token_hex(PASSWORD_BYTES)
    write_private(path, password + "\n")
    return password


class FolderLock:
    """The lock of the process that uses a folder. The kernel releases it when the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Acquire the lock without waiting.

        Raises:
            FolderInUse: another process holds it.
        """
        if self._descriptor is not None:
            return
        # Python opens files with close-on-exec, so child processes don't keep the lock.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise FolderInUse(
                f"The data folder {self._path.parent} is already in use by process {holder}. Nothing was "
                "changed. Stop that process first, or choose another folder with DATA=…"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
