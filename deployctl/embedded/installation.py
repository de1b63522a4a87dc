"""The data folder of an embedded installation: keys, addresses, passwords, and its PostgreSQL and Redis."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from deployctl.embedded.errors import EmbeddedError
from deployctl.embedded.os_account import choose_account
from deployctl.embedded.postgres import PostgresServer
from deployctl.embedded.private_files import FolderLock, stored_password, write_private
from deployctl.embedded.redis import RedisServer

DATABASE = ROLE = "deployctl"

HEADER = """\
# Written by `deployctl up`. Contains the keys of this installation: keep it private, and keep a copy with
# your backups. Lines that you add are kept. DATABASE_URL and REDIS_URL are overwritten at every start.
"""


class Installation:
    """An installation in a data folder.

    Args:
        folder: the data folder; created if missing (mode 0700, for root 0711).
        say: called with messages for the user.
    """

    def __init__(self, folder: Path, *, say: Callable[[str], None]) -> None:
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.run = self.folder / "run"
        self.secrets = self.folder / "secrets"
        self.environment_file = self.folder / "environment"
        self.postgres = PostgresServer(self.folder / "postgres", say=say)
        self.redis = RedisServer(self.folder / "redis", say=say)
        self._lock = FolderLock(self.folder / "lock")

    def open(self) -> None:
        """Create missing folders and lock the data folder until ``close``.

        Raises:
            FolderInUse: another `deployctl up` uses the folder.
            EmbeddedError: the folder isn't writable.
        """
        try:
            if not self.folder.exists():
                # If root runs this, PostgreSQL's account must be able to enter the folder, but not read it.
                self.folder.mkdir(parents=True, mode=0o711 if choose_account().is_other else 0o700)
            self._lock.acquire()
            for folder in (self.logs, self.run, self.secrets):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.folder} can't be used: {error.strerror or error}. Nothing was "
                "started. Free some space or correct its permissions, or choose another folder with DATA=…"
            ) from error

    def close(self) -> None:
        """Release the locks."""
        self.postgres.release()
        self.redis.release()
        self._lock.release()

    def prepare_servers(self) -> None:
        """Prepare PostgreSQL and Redis, so that a process manager can start them.

        Raises:
            EmbeddedError: one of them could not be prepared.
        """
        try:
            self.postgres.prepare()
            self.redis.prepare()
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.folder} isn't writable: {error.strerror or error}. Nothing was "
                "started. Free some space or correct its permissions, or choose another folder with DATA=…"
            ) from error

    def ensure_database(self) -> None:
        """Create deployctl's own role and database on the running server."""
        self.postgres.ensure_database(DATABASE, owner=ROLE, password=self._database_password)

    def write_environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        """Write the file that Django's settings read. Keys are generated only once.

        Args:
            changes: settings that may change with every start.

        Returns:
            All settings in the file.
        """
        values = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            # A Fernet key: 32 random bytes in URL-safe base64.
            "DEPLOYCTL_FIELD_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
            **self.read_environment(),
            "DATABASE_URL": self.postgres.url(DATABASE, ROLE, self._database_password),
            "REDIS_URL": self.redis.url(),
            **changes,
        }
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        write_private(self.environment_file, HEADER + lines)
        return values

    def read_environment(self) -> dict[str, str]:
        """Return the settings in the file; empty if it doesn't exist yet."""
        try:
            text = self.environment_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}

    @property
    def _database_password(self) -> str:
        return stored_password(self.postgres.folder / "application-password")
