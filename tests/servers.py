"""Start one real PostgreSQL and one real Redis per test session, shared by its parallel workers.

Loaded by `-p tests.servers` (pyproject.toml), because pytest-django reads the settings, which read the
environment, before any conftest is imported.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg import sql

from deployctl.audit import signed_statements
from deployctl.embedded.postgres import PostgresServer
from deployctl.embedded.redis import RedisServer
from tests.temporary_folders import session_folder

APPLICATION_ROLE = "deployctl_test"
DROP_TIMEOUT_S = 60.0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Start the servers in the first process and set the environment variables with their addresses."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        _start_servers()
        worker = "gw0"
    # Each parallel worker has a Redis database of its own (0 to 15).
    os.environ["REDIS_URL"] = f"{os.environ['TEST_REDIS_URL']}/{int(worker.removeprefix('gw')) % 16}"
    os.environ["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]
    return (yield)


def drop_database(admin: psycopg.Connection[Any], name: str) -> None:
    """Drop a database and end its sessions, retrying because the server waits only 5 s for them to end.

    Args:
        admin: a superuser's session in another database.
    """
    deadline = time.monotonic() + DROP_TIMEOUT_S
    statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    while True:
        try:
            admin.execute(statement)
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _start_servers() -> None:
    # Bytecode files make dozens of processes start faster, by a fifth of their time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Outside the project folder, because PostgreSQL may run as another account, which must have access.
    folder = session_folder()
    # Test data needn't survive a crash, so skip fsync.
    postgres = PostgresServer(
        folder / "postgres",
        settings={
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "200",
            # Autovacuum workers hold locks and snapshots, change statistics, and occupy a processor at
            # unpredictable times. Tests that depend on vacuum run it explicitly.
            "autovacuum": "off",
        },
    )
    redis = RedisServer(folder / "redis")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    postgres.start()
    atexit.register(postgres.stop)
    redis.start()
    atexit.register(redis.stop)

    password = secrets.token_urlsafe(18)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(APPLICATION_ROLE), sql.Literal(password)
            )
        )
    data = folder / "data"
    # The product collects static files here; whitenoise warns if the folder is missing.
    (data / "static").mkdir(parents=True)
    os.environ.update(
        {
            "TEST_SUPERUSER_URL": postgres.url(),
            "TEST_DATABASE_URL": postgres.url("postgres", user=APPLICATION_ROLE, password=password),
            "TEST_REDIS_URL": redis.url().rsplit("/", 1)[0],
            "SECRET_KEY": secrets.token_urlsafe(40),
            "DEPLOYCTL_FIELD_KEY": Fernet.generate_key().decode(),
            "DEPLOYCTL_SIGNING_KEY": signed_statements.new_key(),
            "DEPLOYCTL_DATA": str(data),
            "DEPLOYCTL_PROJECT_ROOTS": f"{folder},{Path(__file__).resolve().parent.parent / 'examples'}",
            "DEPLOYCTL_SECRET_ROOTS": str(folder),
            "TEST_FOLDER": str(folder),
            "LOG_LEVEL": "WARNING",
        }
    )
