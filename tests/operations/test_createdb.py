"""The operation “Create database”."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deployctl.operations.framework.base import OperationFailed
from deployctl.operations.framework.fakes import FakeJob
from deployctl.operations.kinds.createdb import CreateDatabase
from deployctl.postgres.connection import ConnectionSpec, connect, parse_url

Params = CreateDatabase.Params


def create(spec: ConnectionSpec, tmp_path: Path, **params: str) -> tuple[FakeJob, str, dict[str, object]]:
    job = FakeJob(spec, params=Params(**params), tmp_path=tmp_path)
    outcome = CreateDatabase().perform(job)
    return job, outcome.summary, dict(outcome.facts)


def test_a_database_is_created_with_the_given_parameters(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database(create=False))

    job, summary, facts = create(spec, tmp_path, locale="C")

    assert summary == f"Created database {spec.dbname}: owner {spec.user}, encoding UTF8, locale C."
    assert (facts["created"], facts["owner"], facts["encoding"], facts["collate"]) == (
        True,
        spec.user,
        "UTF8",
        "C",
    )
    with connect(spec, application_name="test") as session:
        assert session.execute("SHOW server_encoding").fetchone() == ("UTF8",)
    assert [state for _, state in job.steps] == ["succeeded"] * 4


def test_an_existing_database_is_reported_and_not_changed(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database())
    with connect(spec, application_name="test") as session:
        session.execute("CREATE TABLE precious AS SELECT 1")

    _, summary, facts = create(spec, tmp_path)

    assert summary.startswith(f"Database {spec.dbname} already exists (owner {spec.user}, encoding UTF8")
    assert summary.endswith("Nothing was changed.")
    assert (facts["created"], facts["differences"]) == (False, [])
    with connect(spec, application_name="test") as session:
        assert session.execute("SELECT count(*) FROM precious").fetchone() == (1,)


def test_differences_of_an_existing_database_are_reported(
    make_database: Callable[..., str], tmp_path: Path
) -> None:
    spec = parse_url(make_database())

    job, summary, facts = create(spec, tmp_path, owner="somebody", encoding="utf-8")

    assert facts["differences"] == [f"owner is {spec.user}, not somebody"]
    assert "It differs from the parameters: owner" in summary
    assert "differs" in job.text


@pytest.mark.parametrize(
    "name",
    [
        'with "quotes"',
        "line\nbreak",
        "$(touch /tmp/never)",
        "--help",
        "host=example.invalid dbname=postgres",
        "a'b%s",
    ],
)
def test_unusual_names_are_used_literally(
    make_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    spec = parse_url(make_database(name, create=False))

    _, _, facts = create(spec, tmp_path)

    assert (facts["created"], facts["name"]) == (True, name)


def test_a_missing_privilege_is_reported_with_its_statement(
    make_database: Callable[..., str], postgres_superuser_url: str, tmp_path: Path
) -> None:
    spec = parse_url(make_database(create=False))
    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER ROLE {} NOCREATEDB").format(sql.Identifier(spec.user)))

    with pytest.raises(OperationFailed, match=f'can\'t create databases.*ALTER ROLE "{spec.user}" CREATEDB;'):
        create(spec, tmp_path)


def test_another_owner_requires_membership_in_that_role(
    make_database: Callable[..., str], postgres_superuser_url: str, tmp_path: Path
) -> None:
    spec, other = parse_url(make_database(create=False)), parse_url(make_database(create=False))

    with pytest.raises(OperationFailed, match=f'GRANT "{other.user}" TO "{spec.user}";'):
        create(spec, tmp_path, owner=other.user)

    with psycopg.connect(postgres_superuser_url, autocommit=True) as admin:
        admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(other.user), sql.Identifier(spec.user)))
    _, _, facts = create(spec, tmp_path, owner=other.user)
    assert facts["owner"] == other.user


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"owner": "no such role"}, 'no such role doesn\'t exist.*CREATE ROLE "no such role";'),
        ({"encoding": "KLINGON"}, "KLINGON"),
        ({"locale": "xx_YY.nowhere"}, "could not create.*locale.*Nothing was changed"),
    ],
)
def test_an_invalid_parameter_is_refused_with_the_reason(
    make_database: Callable[..., str], tmp_path: Path, params: dict[str, str], words: str
) -> None:
    spec = parse_url(make_database(create=False))

    with pytest.raises(OperationFailed, match=words):
        create(spec, tmp_path, **params)
