"""Fixtures for all tests: databases, people, folders and secrets."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import hypothesis
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker, blocking_manager_key

from tests.people import (  # noqa: F401 (fixtures)
    administrator,
    app_lead,
    cto,
    dba,
    devops_lead,
    outsider,
    qa_lead,
    signed_in,
    viewer,
)
from tests.servers import drop_database

# Tests with one of these fixtures start programs that take seconds to start.
SLOW_FIXTURES = {"cluster", "installation", "make_postgres", "node_modules", "product", "up"}
TEMPLATE = "deployctl_template"
TEMPLATE_LOCK = 5_307_001

# The same examples in every run and no deadline, so tests don't fail at random.
hypothesis.settings.register_profile(
    "tests", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)


def pytest_configure() -> None:
    """Replace settings that slow tests down or make them fail on a busy machine."""
    hypothesis.settings.load_profile("tests")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage",
    }
    # Both servers are running, but may respond late on a busy machine.
    timeout_s = 60
    cache: Any = settings.CACHES["default"]["OPTIONS"]
    cache.update(socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
    settings.DATABASES["default"]["OPTIONS"]["connect_timeout"] = timeout_s


@pytest.hookimpl(trylast=True)  # after plugins that shuffle and sort; the sort is stable
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run long tests first. At the end, one of them would keep one process busy while the others are idle.

    Most of them end up in one process, so the others needn't start the products and clusters they use.
    """
    default_s = float(config.getini("timeout"))

    def is_long(item: pytest.Item) -> bool:
        limit = item.get_closest_marker("timeout")
        return bool(
            SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ()))
            or (limit and limit.args[0] > default_s)
        )

    items.sort(key=is_long, reverse=True)


def _admin() -> psycopg.Connection[Any]:
    return psycopg.connect(os.environ["TEST_DATABASE_URL"], autocommit=True)


def _with_name(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{quote(name, safe='')}").geturl()


def _create(name: str, template: str = "template0") -> None:
    with _admin() as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )


def _drop(name: str) -> None:
    # Only a superuser may end the sessions of other roles.
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as admin:
        drop_database(admin, name)


def _point_at(name: str) -> None:
    """Connect Django's default connection to this database."""
    connections.close_all()
    connection.settings_dict["NAME"] = name
    settings.DATABASES["default"]["NAME"] = name
    os.environ["DATABASE_URL"] = _with_name(os.environ["TEST_DATABASE_URL"], name)


def _ensure_template() -> None:
    """Create the migrated template database, unless another parallel worker has done so."""
    with _admin() as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [TEMPLATE_LOCK])
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
            return
        building = f"{TEMPLATE}_building"
        _create(building)
        _point_at(building)
        call_command("migrate", verbosity=0)
        connections.close_all()
        admin.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                sql.Identifier(building), sql.Identifier(TEMPLATE)
            )
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Migrate before the first test, so the migration doesn't count toward that test's timeout."""
    database_fixtures = {"db", "committed_db", "django_db_setup"}
    if not session.config.option.collectonly and any(
        item.get_closest_marker("django_db") or database_fixtures & set(getattr(item, "fixturenames", ()))
        for item in session.items
    ):
        with session.config.stash[blocking_manager_key].unblock():
            _ensure_template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Clone the migrated template for this worker. Tests run in transactions on the clone."""
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}_{uuid.uuid4().hex[:8]}"
    with django_db_blocker.unblock():
        _ensure_template()
        _create(name, TEMPLATE)
        _point_at(name)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        _drop(name)


@dataclass(frozen=True)
class Committed:
    """A database in which transactions are really committed, for threads and other processes."""

    name: str
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a deployctl process that uses the database."""
        return os.environ | {"DATABASE_URL": self.url, "DJANGO_SETTINGS_MODULE": "deployctl.settings"}


@pytest.fixture
def committed_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Committed]:
    """A fresh clone of the migrated template, dropped afterwards."""
    before = connection.settings_dict["NAME"]
    name = f"test_committed_{uuid.uuid4().hex[:12]}"
    with django_db_blocker.unblock():
        _create(name, TEMPLATE)
        _point_at(name)
        try:
            yield Committed(name, os.environ["DATABASE_URL"])
        finally:
            _point_at(before)
            _drop(name)


@pytest.fixture(autouse=True)
def own_backup_folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The backup folder of this test, created with the first backup."""
    folder = Path(os.environ["TEST_FOLDER"]) / "backups" / uuid.uuid4().hex
    monkeypatch.setenv("DEPLOYCTL_BACKUPS", str(folder))
    monkeypatch.setattr(settings, "DEPLOYCTL_BACKUPS", folder)
    return folder


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """`seen("gone after 0.12 s")` records a measurement of a fault test, which `make faults` prints."""
    return lambda text: request.node.user_properties.append(("seen", text))


@pytest.fixture
def redis_url() -> str:
    """The Redis database of this parallel worker."""
    return os.environ["REDIS_URL"]


@pytest.fixture(scope="session")
def postgres_superuser_url() -> str:
    """The URL of the session's PostgreSQL for its superuser."""
    return os.environ["TEST_SUPERUSER_URL"]


@pytest.fixture
def make_database(postgres_superuser_url: str) -> Iterator[Callable[..., str]]:
    """A factory of target databases: `make_database(name=None)` returns the URL for the owner.

    The owner may create databases and has no other privileges. Databases and roles are dropped afterwards.
    """
    created: list[tuple[str, str]] = []
    locks = ExitStack()

    def make(name: str | None = None, *, create: bool = True, role: str = "owner", password: str = "") -> str:
        suffix = uuid.uuid4().hex[:10]
        if name is not None:  # another parallel worker may use the same name
            session = locks.enter_context(_admin())
            session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        name, role, password = name or f"target_{suffix}", f"{role}_{suffix}", password or uuid.uuid4().hex
        with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
            admin.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )
            if create:
                admin.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                        sql.Identifier(name), sql.Identifier(role)
                    )
                )
        created.append((name, role))
        parts = urlsplit(postgres_superuser_url)
        credentials = f"{quote(role, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{credentials}@{parts.hostname}:{parts.port}/{quote(name, safe='')}"

    yield make
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        for name, role in created:
            drop_database(admin, name)
            owned = admin.execute(
                "SELECT datname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE rolname = %s", [role]
            ).fetchall()
            for (other,) in owned:
                drop_database(admin, other)
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    locks.close()


@pytest.fixture
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """`secret_file(value)` writes a secret to a file in an allowed folder and returns its reference."""

    def write(value: str) -> str:
        folder = Path(os.environ["TEST_FOLDER"]) / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / uuid.uuid4().hex
        path.write_text(value)
        path.chmod(0o600)
        return f"file:{path}"

    return write
