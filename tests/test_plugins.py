"""Test the discovery of plugins, and that one file is enough to add a plugin of each kind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from deployctl.operations import catalogue, migrations
from deployctl.operations.framework.registry import OPERATIONS
from deployctl.plugins import Catalogue, discover
from deployctl.secrets import SecretSource, check_reference, known_sources, resolve
from deployctl.secrets.references import SOURCES
from deployctl.secrets.sources.env import Environment
from deployctl.storage.offsite import STORES, open_stores
from tests.operations.projects import write_project
from tests.packages import temporary_package

OPERATION = """
from deployctl.operations.framework.base import Job, Operation, Outcome

class Nap(Operation):
    kind, title, help = "nap", "Nap", "Does nothing."
    changes_target, exclusive, time_limit_s = False, False, 60

    def perform(self, job: Job) -> Outcome:
        return Outcome("Rested.")
"""
MIGRATOR = """
from deployctl.operations.migrations.base import Migrator, Status

class Knex(Migrator):
    tool, title, default_folder = "knex", "Knex", "migrations"

    def status(self, job):
        return Status()

    def apply(self, job):
        return []
"""
SOURCE = """
from deployctl.secrets import SecretSource

class Reversed(SecretSource):
    scheme = "reversed"
    help = "reversed:TEXT reads TEXT backwards."

    def check(self, rest):
        pass

    def read(self, rest):
        return rest[::-1]
"""
STORE = """
from deployctl.storage.stores import Store

class Memory(Store):
    scheme, prefix = "memory", "memory:"

    @classmethod
    def open(cls, address, options, resolve):
        store = cls()
        store.name, store.address, store.recipient = address.path, address.geturl(), ""
        store.objects = {}
        return store

    def put(self, key, source, advance):
        self.objects[key] = source.read()

    def read(self, key):
        yield self.objects[key]

    def sizes(self, prefix):
        return {key: len(content) for key, content in self.objects.items() if key.startswith(prefix)}
"""


def test_one_file_adds_an_operation(tmp_path: Path) -> None:
    with temporary_package(tmp_path, {"nap": OPERATION}) as package, OPERATIONS.extended(package):
        assert catalogue()["nap"].title == "Nap"
        assert "backup" in catalogue()
        assert list(catalogue()) == sorted(catalogue())
    assert "nap" not in catalogue()


def test_one_file_adds_a_migration_tool(tmp_path: Path) -> None:
    tools = migrations.catalogue()
    with temporary_package(tmp_path, {"knex": MIGRATOR}) as package, tools.extended(package):
        project = write_project(tmp_path / "shop", '[migrations]\ntool = "knex"\n')
        assert migrations.migrator_for(project).title == "Knex"
    assert "knex" not in tools


def test_one_file_adds_a_secret_source(tmp_path: Path) -> None:
    with temporary_package(tmp_path, {"reversed": SOURCE}) as package, SOURCES.extended(package):
        check_reference("reversed:abc")
        assert resolve("reversed:abc").reveal() == "cba"
    assert "reversed" not in known_sources()


def test_one_file_adds_a_store(tmp_path: Path) -> None:
    with temporary_package(tmp_path, {"memory": STORE}) as package, STORES.extended(package):
        store = open_stores(["memory:attic"], str)["attic"]
        store.put("a/b", io.BytesIO(b"content"), lambda _written: None)
        assert store.sizes("a/") == {"a/b": 7}
    assert "memory" not in STORES


@pytest.mark.parametrize(
    "source",
    [
        "",
        SOURCE.replace('"reversed"', '"other"'),
        SOURCE + SOURCE.replace("class Reversed", "class Again"),
        SOURCE.replace("def read", "def forgotten"),
        "from deployctl.secrets.sources.env import Environment",
    ],
    ids=["no class", "another key", "two classes", "an abstract class", "an imported class"],
)
def test_the_error_names_a_module_without_exactly_one_plugin(tmp_path: Path, source: str) -> None:
    with temporary_package(tmp_path, {"reversed": source}) as package:
        expected = rf"{package}\.reversed must define exactly one class .* scheme = 'reversed'"
        with SOURCES.extended(package), pytest.raises(TypeError, match=expected):
            known_sources()


def test_a_key_defined_in_two_packages_is_refused(tmp_path: Path) -> None:
    env = SOURCE.replace('"reversed"', '"env"')
    duplicate = pytest.raises(TypeError, match="defines the SecretSource env again")
    with temporary_package(tmp_path, {"env": env}) as package, SOURCES.extended(package), duplicate:
        known_sources()
    assert SOURCES["env"] is Environment


def test_subpackages_are_not_searched(tmp_path: Path) -> None:
    with temporary_package(tmp_path, {"reversed": SOURCE}) as package:
        (tmp_path / package / "inner").mkdir()
        (tmp_path / package / "inner" / "__init__.py").touch()
        assert list(discover(package, SecretSource, "scheme")) == ["reversed"]


def test_a_catalogue_is_a_read_only_mapping() -> None:
    sources: Catalogue[SecretSource] = Catalogue("deployctl.secrets.sources", SecretSource, "scheme")
    assert sources["env"] is Environment
    assert sources.get("nowhere") is None
    assert len(sources) == len(list(sources))
    assert not hasattr(sources, "__setitem__")


def test_a_single_class_can_be_added() -> None:
    class Fixed(Environment):
        scheme = "fixed"

    with SOURCES.extended(Fixed):
        assert SOURCES["fixed"] is Fixed
    assert "fixed" not in SOURCES
