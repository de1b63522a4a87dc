"""Find and read the migration files of a project."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployctl.operations.framework.base import OperationFailed

LARGEST_SCRIPT_BYTES = 64 * 1024 * 1024
NUMBERED = re.compile(r"^(\d+)[_.-].*\.sql$|^(\d+)\.sql$")


@dataclass(frozen=True)
class Migration:
    """A migration with the path of its script."""

    name: str
    path: Path

    def script(self) -> bytes:
        """Return the content of the script.

        Raises:
            OperationFailed: it can't be read, isn't UTF-8 text, or is too large.
        """
        try:
            if self.path.stat().st_size > LARGEST_SCRIPT_BYTES:
                raise OperationFailed(f"{self.path} is larger than {LARGEST_SCRIPT_BYTES // 2**20} MiB.")
            content = self.path.read_bytes()
            content.decode("utf-8")
        except OSError as error:
            raise OperationFailed(f"{self.path} can't be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise OperationFailed(f"{self.path} isn't UTF-8 text (byte {error.start}).") from error
        if b"\0" in content:
            raise OperationFailed(f"{self.path} contains a NUL byte, which isn't allowed in SQL.")
        return content


def checksum(script: bytes) -> str:
    """Return the hexadecimal SHA-256 of a script, the same checksum as Prisma's."""
    return hashlib.sha256(script).hexdigest()


def checksums(migrations: Iterable[Migration]) -> dict[str, str]:
    """Return the checksum of each migration's script by name."""
    return {migration.name: checksum(migration.script()) for migration in migrations}


def matches(script: bytes, recorded: str) -> bool:
    """Return True if a script has the recorded checksum, apart from its line endings.

    Version control may convert LF to CRLF on another machine; Prisma ignores this, too.
    """
    unix = script.replace(b"\r\n", b"\n")
    return recorded in {checksum(script), checksum(unix), checksum(unix.replace(b"\n", b"\r\n"))}


def prisma_migrations(folder: Path) -> Sequence[Migration]:
    """Return the migrations `<timestamp>_<name>/migration.sql`, in the order in which Prisma applies them.

    Raises:
        OperationFailed: a folder has no `migration.sql` (Prisma's P3015).
    """
    found = [Migration(path.name, path / "migration.sql") for path in _entries(folder) if path.is_dir()]
    for migration in found:
        if not migration.path.is_file():
            raise OperationFailed(
                f"The migration {migration.name} has no migration.sql. Nothing was applied. "
                "Restore the file, or remove the folder if the migration was never applied."
            )
    return found


def numbered_scripts(folder: Path) -> Sequence[Migration]:
    """Return the migrations `<number>_<name>.sql`, ordered by number.

    Raises:
        OperationFailed: a .sql file has no number, or two have the same number.
    """
    numbers: dict[int, Migration] = {}
    for path in _entries(folder):
        if path.suffix != ".sql" or not path.is_file():
            continue
        match = NUMBERED.match(path.name)
        if match is None:
            raise OperationFailed(
                f"{path.name} doesn't start with a number, so its order among the migrations is unknown. "
                "Rename it, such as 0007_add_index.sql."
            )
        number = int(match[1] or match[2])
        if number in numbers:
            raise OperationFailed(f"{numbers[number].name} and {path.name} have the same number. Rename one.")
        numbers[number] = Migration(path.name, path)
    return [numbers[number] for number in sorted(numbers)]


def _entries(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
