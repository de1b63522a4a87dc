"""The embedded PostgreSQL server: on loopback only, password-protected, with all files in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import psycopg
from psycopg import sql

from deployctl.embedded import cluster, parent_death
from deployctl.embedded.binaries import PostgresBinaries, find_postgres
from deployctl.embedded.errors import BinariesMissing, EmbeddedError
from deployctl.embedded.os_account import Account, choose_account, reachable_binaries, server_environment
from deployctl.embedded.ports import LOOPBACK, stored_port
from deployctl.embedded.private_files import stored_password
from deployctl.embedded.server import Server

SUPERUSER = "postgres"
PROBE_TIMEOUT_S = 5

Value = TypeVar("Value")


class PostgresServer(Server):
    """A PostgreSQL server in ``folder``.

    Args:
        folder: for the cluster (or its location), the superuser's password and the port.
        port: on 127.0.0.1; by default chosen once and reused if free.
        version: major version for a new cluster; by default the system's newest, else the packaged one. An
            existing cluster always gets the version that created it.
        binaries: programs to run; by default the ones that `find_postgres` finds.
        settings: server settings such as ``{"fsync": "off"}``, for this start only.
        say: called with messages for the user.
    """

    name = "PostgreSQL"
    stop_signal = "INT"  # fast shutdown; TERM would wait for every client to disconnect

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        version: int | None = None,
        binaries: PostgresBinaries | None = None,
        settings: Mapping[str, str] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(folder, port=port, say=say)
        self._version = version
        self._given_binaries = binaries
        self._settings = dict(settings or {})
        self._port: int | None = None
        self._password: str | None = None
        self._account = Account()
        self._binaries: PostgresBinaries | None = None
        self._cluster: Path | None = None

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known after ``prepare``."""
        return _prepared(self._port)

    @property
    def password(self) -> str:
        """The superuser's password; known after ``prepare``."""
        return _prepared(self._password)

    @property
    def binaries(self) -> PostgresBinaries:
        """The programs in use, including psql and pg_dump; known after ``prepare``."""
        return _prepared(self._binaries)

    @property
    def cluster(self) -> Path:
        """The data directory of the cluster (PGDATA); known after ``prepare``."""
        return _prepared(self._cluster)

    def url(self, dbname: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a connection URL; for the superuser, the password defaults to the stored one."""
        secret = self.password if password is None and user == SUPERUSER else password
        login = quote(user, safe="") + (f":{quote(secret, safe='')}" if secret else "")
        return f"postgresql://{login}@{LOOPBACK}:{self.port}/{quote(dbname, safe='')}"

    def command(self) -> list[str]:
        """Return the argument list of the server, which runs in the foreground and ends with its parent."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            "log_destination": "stderr",
            "logging_collector": "off",  # the process manager writes and rotates the log
            **self._settings,
        }
        argv = [str(self.binaries["postgres"]), "-D", str(self.cluster)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        return parent_death.command(
            argv, signal_name=self.stop_signal, user=self._account.name, environment=server_environment()
        )

    def is_ready(self) -> bool:
        """Return True if the server accepts queries, which it doesn't during crash recovery."""
        try:
            with self.connect(connect_timeout=PROBE_TIMEOUT_S) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def connect(
        self, dbname: str = "postgres", *, connect_timeout: int = PROBE_TIMEOUT_S
    ) -> psycopg.Connection:
        """Open an autocommit connection as the superuser."""
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=dbname,
            connect_timeout=connect_timeout,
            application_name="deployctl",
            autocommit=True,
        )

    def ensure_database(self, dbname: str, *, owner: str, password: str) -> None:
        """Create the ordinary role ``owner`` and its database if missing, and set the role's password."""
        role, database = sql.Identifier(owner), sql.Identifier(dbname)
        with self.connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [owner]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            # The server log can't contain the password, because libpq hashes it here.
            verifier = connection.pgconn.encrypt_password(password.encode(), owner.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier.decode()))
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [dbname]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))

    def discard(self) -> None:
        """Stop the server and delete all its files."""
        self.stop()
        if self._cluster is not None and self._cluster.parent != self.folder:
            shutil.rmtree(self._cluster.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        self._account = choose_account()
        if self._account.is_other:
            self.folder.chmod(0o711)  # the account can enter, but the files in it stay 0600 and 0700
        self._cluster = cluster.locate(self.folder, self._account, self._say)
        existing = cluster.major_of(self._cluster)
        self._binaries = reachable_binaries(self._find_binaries(existing), self._account)
        if existing is None:
            (self.folder / "password").unlink(missing_ok=True)
        self._password = stored_password(self.folder / "password")
        if existing is None:
            durable = self._settings.get("fsync", "on") != "off"
            cluster.create(
                self._cluster, self._binaries, self._account, password=self._password, durable=durable
            )
        cluster.clear_leftovers(self._cluster)
        self._port = stored_port(self.folder / "port", requested=self._requested_port, server=self.name)

    def _find_binaries(self, existing: int | None) -> PostgresBinaries:
        if self._given_binaries is not None:
            return self._given_binaries
        if existing is None:
            return find_postgres(self._version)
        try:
            return find_postgres(existing)
        except BinariesMissing:
            raise BinariesMissing(
                f"The data in {self.cluster} was written by PostgreSQL {existing}, which is no longer "
                f"installed. Nothing was changed. Install PostgreSQL {existing} again, or use a new folder "
                "(DATA=…)."
            ) from None


def _prepared(value: Value | None) -> Value:
    if value is None:
        raise EmbeddedError("The PostgreSQL server has not been prepared yet.")
    return value
