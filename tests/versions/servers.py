"""Start servers of every supported version of PostgreSQL."""

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

SUPPORTED_VERSIONS = (13, 14, 15, 16, 17, 18)
# Listed in package.json. These packages have no client tools; pg_dump and pg_restore of a later version work.
FROM_NPM = (13, 14, 17)
# Not available as a package; Debian 12 includes it.
SYSTEM_ONLY = (15,)
UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


def binaries(major: int) -> PostgresBinaries | None:
    """Return the binaries of the system or of a package; None if a SYSTEM_ONLY version isn't installed.

    Raises:
        NotInstalled, BinariesMissing: a version that comes from a package isn't available.
    """
    try:
        return find_postgres(major)
    except BinariesMissing:
        if major in SYSTEM_ONLY:
            return None
        if major not in FROM_NPM:
            raise
    installed = npm_packages.node_modules(Path(__file__).parent, "postgres")
    return PostgresBinaries(installed / f"pg{major}" / "native" / "bin", major, packaged=False)


@contextlib.contextmanager
def running(found: PostgresBinaries, **settings: str) -> Iterator[PostgresServer]:
    """Start a server that is deleted at the end of the block."""
    # Outside pytest's own folder, which the account that runs PostgreSQL may not enter.
    folder = Path(tempfile.mkdtemp(prefix=f"deployctl-postgres-{found.major}-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "postgres", binaries=found, settings=UNSAFE_SETTINGS | settings)
    try:
        server.start()
        yield server
    finally:
        server.discard()
        shutil.rmtree(folder, ignore_errors=True)


def ordinary_owner(superuser_url: str, dbname: str) -> ConnectionSpec:
    """Create a role whose only privilege is to create databases; the database itself is not created."""
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
    """Drop a role and every database that it owns."""
    with psycopg.connect(superuser_url, autocommit=True) as admin:
        owned = admin.execute(
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s", [role]
        ).fetchall()
        for (name,) in owned:
            drop_database(admin, name)
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
