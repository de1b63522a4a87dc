"""Django's migrations, by the project's own manage.py."""

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

# Run by the project's Python inside its settings. `clean_start` asks for every migration there is.
QUESTION = f"""
import hashlib, inspect, json
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
executor = MigrationExecutor(connection)
leaves = executor.loader.graph.leaf_nodes()
name = lambda app, migration: app + "." + migration
checksum = lambda m: hashlib.sha256(open(inspect.getfile(type(m)), "rb").read()).hexdigest()
every = [m for m, _ in executor.migration_plan(leaves, clean_start=True)]
place = None
if connection.vendor == "postgresql":
    with connection.cursor() as cursor:
        cursor.execute({migration_tables.DATABASE_IDENTITY!r})
        place = cursor.fetchone()[0]
print({MARK!r} + json.dumps({{
    "vendor": connection.vendor,
    "place": place,
    "every": [[name(m.app_label, m.name), [name(*r) for r in m.replaces]] for m in every],
    "checksums": {{name(m.app_label, m.name): checksum(m) for m in every}},
    "pending": [name(m.app_label, m.name) for m, _ in executor.migration_plan(leaves)],
}}))
"""


@dataclass(frozen=True)
class _Plan:
    """What Django says. `every` maps each migration, in order, to those that it replaces (squashed ones)."""

    place: str | None
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
        """Ask Django, and read its table in the target: both must agree, or neither is believed.

        Django keeps no checksums in the database, so a file that was edited after it was applied cannot be
        noticed; the record keeps those of the files as they lie there now.

        Raises:
            OperationFailed: the project works on another database, or the two disagree.
        """
        answer = self.ask(job, "manage.py", "shell", "--no-color", "-c", QUESTION)
        plan = _Plan(
            answer["place"], answer["vendor"], dict(answer["every"]), answer["pending"], answer["checksums"]
        )
        with failure_on_error(job, UNREADABLE), read_only_session(job) as connection:
            place = migration_tables.database_identity(connection)
            recorded = _recorded(connection)
        if plan.place != place:
            where = f"the database {plan.place.split()[0]}" if plan.place else plan.vendor
            raise OperationFailed(
                f"The project's settings lead to {where} instead of the target "
                f"{job.target.connection.dbname}. Nothing was changed. Make its DATABASES from DATABASE_URL."
            )
        status = _compare(plan, recorded)
        if set(status.pending) != set(plan.pending):
            raise OperationFailed(
                "Django and its table in the target disagree, so neither is believed. Pending: Django says "
                f"{', '.join(plan.pending) or 'none'}, the table {', '.join(status.pending) or 'none'}."
            )
        return status

    def applied(self, connection: psycopg.Connection, wanted: Collection[str]) -> list[str]:
        """Those recorded in `django_migrations`."""
        return [name for name in _recorded(connection) if name in wanted]


def _recorded(connection: psycopg.Connection) -> list[str]:
    return [f"{app}.{name}" for app, name in migration_tables.django_migrations(connection)]


def _compare(plan: _Plan, recorded: Sequence[str]) -> Status:
    """A squashed migration counts as applied when all that it replaces are (Django's own rule)."""
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
    """Recorded after everything that the project knows of the same app.

    Older unknown ones are what squashing leaves behind, and those of apps that were removed are Django's
    habit: both are no sign of a database that is ahead.
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
