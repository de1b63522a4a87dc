"""Apply Django migrations with the project's own manage.py."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import psycopg

from deployctl.operations.application.project_helpers import read_only_session
from deployctl.operations.framework.base import Job, OperationFailed
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.migrations.base import UNREADABLE, Status
from deployctl.operations.migrations.python_project import MARK, PythonProject
from deployctl.postgres.queries import migration_tables

# Runs in the project's Python with its settings. `clean_start` lists all migrations, applied or not.
LIST_MIGRATIONS = f"""
import hashlib, inspect, json
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
leaves = executor.loader.graph.leaf_nodes()
name = lambda app, migration: app + "." + migration
checksum = lambda m: hashlib.sha256(open(inspect.getfile(type(m)), "rb").read()).hexdigest()
every = [m for m, _ in executor.migration_plan(leaves, clean_start=True)]
identity = None
if connection.vendor == "postgresql":
    with connection.cursor() as cursor:
        cursor.execute({migration_tables.DATABASE_IDENTITY!r})
        identity = cursor.fetchone()[0]
print({MARK!r} + json.dumps({{
    "vendor": connection.vendor,
    "identity": identity,
    "every": [[name(m.app_label, m.name), [name(*r) for r in m.replaces]] for m in every],
    "checksums": {{name(m.app_label, m.name): checksum(m) for m in every}},
    "pending": [name(m.app_label, m.name) for m, _ in executor.migration_plan(leaves)],
}}))
"""


@dataclass(frozen=True)
class _Plan:
    """The migrations according to Django; `every` maps each one, in order, to those that it replaces."""

    identity: str | None
    vendor: str
    every: Mapping[str, Sequence[str]]
    pending: Sequence[str]
    checksums: Mapping[str, str]


class Django(PythonProject):
    """Runs `manage.py migrate`; status and progress are read from `django_migrations`."""

    tool: ClassVar[str] = "django"
    title: ClassVar[str] = "Django's manage.py"
    main_file: ClassVar[str] = "manage.py"
    upgrade: ClassVar[Sequence[str]] = ("manage.py", "migrate", "--no-input", "--no-color")

    def status(self, job: Job) -> Status:
        """Return the status according to Django, checked against its table in the target.

        Django stores no checksums, so edited files can't be detected; the checksums are those of the current
        files.

        Raises:
            OperationFailed: the project uses another database, or the two disagree.
        """
        answer = self.run_json(job, "manage.py", "shell", "--no-color", "-c", LIST_MIGRATIONS)
        plan = _Plan(
            answer["identity"],
            answer["vendor"],
            dict(answer["every"]),
            answer["pending"],
            answer["checksums"],
        )
        with failure_on_error(job, UNREADABLE), read_only_session(job) as connection:
            identity = migration_tables.database_identity(connection)
            recorded = _recorded(connection)
        if plan.identity != identity:
            other = f"the database {plan.identity.split()[0]}" if plan.identity else plan.vendor
            raise OperationFailed(
                f"The project's settings use {other} instead of the target "
                f"{job.target.connection.dbname}. Nothing was changed. Read DATABASES from DATABASE_URL."
            )
        status = _compare(plan, recorded)
        if set(status.pending) != set(plan.pending):
            raise OperationFailed(
                "Django and its table in the target disagree, so nothing was applied. Pending according to "
                f"Django: {', '.join(plan.pending) or 'none'}; according to the table: "
                f"{', '.join(status.pending) or 'none'}."
            )
        return status

    def applied(self, connection: psycopg.Connection, names: Collection[str]) -> list[str]:
        """Return the named migrations that are in `django_migrations`."""
        return [name for name in _recorded(connection) if name in names]


def _recorded(connection: psycopg.Connection) -> list[str]:
    return [f"{app}.{name}" for app, name in migration_tables.django_migrations(connection)]


def _compare(plan: _Plan, recorded: Sequence[str]) -> Status:
    """Return the status; a squashed migration is applied if all that it replaces are, as in Django."""
    known = set(recorded)
    applied = [
        name
        for name, replaces in plan.every.items()
        if name in known or (replaces and known.issuperset(replaces))
    ]
    return Status(
        total=len(plan.every),
        applied=tuple(applied),
        pending=tuple(name for name in plan.every if name not in applied),
        unknown=tuple(_ahead(plan, recorded)),
        checksums=plan.checksums,
    )


def _ahead(plan: _Plan, recorded: Sequence[str]) -> list[str]:
    """Return the unknown migrations recorded after the last known one of the same app.

    Older unknown ones remain after squashing, and those of removed apps are never deleted, so neither means
    that the database is ahead of the project.
    """
    known = set(plan.every) | {name for replaces in plan.every.values() for name in replaces}
    apps = {name.partition(".")[0] for name in known}
    ahead: dict[str, list[str]] = {app: [] for app in apps}
    for name in recorded:
        app = name.partition(".")[0]
        if name in known:
            ahead[app] = []
        elif app in apps:
            ahead[app].append(name)
    return [name for app in sorted(ahead) for name in ahead[app]]
