"""The data folder: keys, addresses and passwords of an installation, and the servers that keep its data."""

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
# Written by `deployctl up`. Holds the keys of this installation: keep it private, and keep a copy with your
# backups. Lines you add stay. DATABASE_URL and REDIS_URL are written anew at every start.
"""


class Installation:
    """Everything that belongs to one data folder.

    Args:
        folder: the data folder; created (0700, for root 0711) when missing.
        say: called with sentences meant for the user.
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
        """Create what is missing and keep other processes out until ``close``.

        Raises:
            FolderInUse: when another `deployctl up` runs on it.
            EmbeddedError: when it cannot be written to.
        """
        try:
            if not self.folder.exists():
                # For root's sake, PostgreSQL's account passes through; what is inside stays closed to it.
                self.folder.mkdir(parents=True, mode=0o711 if choose_account().is_other else 0o700)
            self._lock.acquire()
            for folder in (self.logs, self.run, self.secrets):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.folder} cannot be used: {error.strerror or error}. Nothing was "
                "started. Make room or correct its permissions, or choose another folder with DATA=…"
            ) from error

    def close(self) -> None:
        """Let others use the folder."""
        self.postgres.release()
        self.redis.release()
        self._lock.release()

    def prepare_servers(self) -> None:
        """Make PostgreSQL and Redis ready to be started by a process manager.

        Raises:
            EmbeddedError: with a sentence.
        """
        try:
            self.postgres.prepare()
            self.redis.prepare()
        except OSError as error:
            raise EmbeddedError(
                f"The data folder {self.folder} cannot be written to: {error.strerror or error}. Nothing was "
                "started. Make room or correct its permissions, or choose another folder with DATA=…"
            ) from error

    def ensure_database(self) -> None:
        """Create the application's own role and database on the running server."""
        self.postgres.ensure_database(DATABASE, owner=ROLE, password=self._database_password)

    def write_environment(self, changing: Mapping[str, str]) -> dict[str, str]:
        """Write the file that Django's settings read; keys are made once and then kept.

        Args:
            changing: settings of this start, such as where things listen.

        Returns:
            Everything the file says.
        """
        values = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            # What cryptography's Fernet takes: 32 random bytes in URL-safe base64.
            "DEPLOYCTL_FIELD_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
            **self.read_environment(),
            "DATABASE_URL": self.postgres.url(DATABASE, ROLE, self._database_password),
            "REDIS_URL": self.redis.url(),
            **changing,
        }
        lines = "".join(f"{name}={value}\n" for name, value in values.items())
        write_private(self.environment_file, HEADER + lines)
        return values

    def read_environment(self) -> dict[str, str]:
        """Return what the file says now; nothing when there is none yet."""
        try:
            text = self.environment_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        lines = (line for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name.strip(): value for name, _, value in (line.partition("=") for line in lines)}

    @property
    def _database_password(self) -> str:
        return stored_password(self.postgres.folder / "application-password")
