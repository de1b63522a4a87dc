"""Files that `deployctl backup` writes and reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError, InvalidInput

if TYPE_CHECKING:
    from deployctl.operations.archive import Archive

CHUNK_BYTES = 1 << 20


def write(archive: Archive, place: Path) -> Path:
    """Write a backup into a file that only its owner reads; it has its name once it is whole.

    Args:
        place: a folder that is there, or the file.

    Raises:
        InvalidInput: the file is there already.
        DeployctlError: it cannot be written; nothing is left of it.
    """
    path = place / archive.file_name if place.is_dir() else place
    if path.exists():
        raise InvalidInput(f"{path} is there already. Nothing was written. Choose another file.")
    partial = path.with_name(path.name + ".partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for piece in archive.pieces():
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DeployctlError(
            f"{path} could not be written: {error.strerror}. Nothing is left of it; the backup is untouched."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def read(path: Path, write: Callable[[bytes], None]) -> None:
    """Read a file piece by piece.

    Raises:
        DeployctlError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                write(chunk)
    except OSError as error:
        raise DeployctlError(f"{path} cannot be read: {error.strerror}. Nothing was kept.") from error
