"""Apply Alembic revisions with the project's own Python."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.application.project_helpers import read_only_session
from deployctl.operations.framework.base import Job, OperationFailed, ProcessFailed
from deployctl.operations.framework.postgres_errors import failure_on_error
from deployctl.operations.migrations.base import UNREADABLE, Status
from deployctl.operations.migrations.python_project import MARK, PythonProject
from deployctl.postgres.queries import migration_tables

# Lists the project's revisions without a database: env.py isn't run.
LIST_REVISIONS = f"""
import hashlib, json
from alembic.config import Config
from alembic.script import ScriptDirectory
directory = ScriptDirectory.from_config(Config("alembic.ini"))
listed = lambda given: [given] if isinstance(given, str) else list(given or ())
full = lambda given: directory.get_revision(given).revision
checksum = lambda path: hashlib.sha256(open(path, "rb").read()).hexdigest()
every = list(reversed(list(directory.walk_revisions())))
print({MARK!r} + json.dumps({{
    "revisions": [
        [r.revision, listed(r.down_revision) + [full(other) for other in listed(r.dependencies)]]
        for r in every
    ],
    "checksums": {{r.revision: checksum(r.path) for r in every}},
}}))
"""
# A line of `alembic current`: the revision, and "(head)" or "(mergepoint)" after it.
CURRENT = re.compile(r"^(\w+)(?: \([a-z, ]+\))*$", re.MULTILINE)


class Alembic(PythonProject):
    """Runs `alembic upgrade heads`; status and progress are read from `alembic_version`."""

    tool: ClassVar[str] = "alembic"
    title: ClassVar[str] = "Alembic"
    main_file: ClassVar[str] = "alembic.ini"
    upgrade: ClassVar[Sequence[str]] = ("-m", "alembic", "upgrade", "heads")

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._parents: Mapping[str, Sequence[str]] = {}

    def status(self, job: Job) -> Status:
        """Return the status from the project's scripts and `alembic_version`, checked against Alembic's.

        Alembic stores no checksums, so edited files can't be detected; the checksums are those of the current
        files.

        Raises:
            OperationFailed: Alembic and the table in the target disagree.
        """
        answer = self.run_json(job, "-c", LIST_REVISIONS)
        parents = dict(answer["revisions"])
        with failure_on_error(job, UNREADABLE), read_only_session(job) as connection:
            heads = migration_tables.alembic_heads(connection)
        self._refuse_disagreement(job, heads, parents)
        self._parents = parents
        applied = _with_ancestors(heads, parents)
        return Status(
            total=len(parents),
            applied=tuple(name for name in parents if name in applied),
            pending=tuple(name for name in parents if name not in applied),
            unknown=tuple(head for head in heads if head not in parents),
            checksums=answer["checksums"],
        )

    def applied(self, connection: psycopg.Connection, names: Collection[str]) -> list[str]:
        """Return the named revisions that are in `alembic_version` or ancestors of those."""
        done = _with_ancestors(migration_tables.alembic_heads(connection), self._parents)
        return [name for name in names if name in done]

    def _refuse_disagreement(
        self, job: Job, heads: Sequence[str], parents: Mapping[str, Sequence[str]]
    ) -> None:
        """Raise OperationFailed if Alembic has another state than the target: it may use another database."""
        output = bytearray()
        try:
            self.run(
                job,
                *("-m", "alembic", "current"),
                on_output=lambda stream, chunk: output.extend(chunk if stream == "stdout" else b""),
            )
        except ProcessFailed as failure:
            if any(head not in parents for head in heads):
                return  # Alembic fails on an unknown revision; the status reports it
            raise OperationFailed(
                f"Alembic could not report its current revision. {failure.message}"
            ) from failure
        current = set(CURRENT.findall(output.decode("utf-8", errors="replace"))) & parents.keys()
        if current != set(heads) & parents.keys():
            raise OperationFailed(
                "Alembic and the table alembic_version in the target disagree, so nothing was applied: "
                f"Alembic is at {', '.join(sorted(current)) or 'no revision'}, the table at "
                f"{', '.join(heads) or 'no revision'}. Check that env.py uses DATABASE_URL and the default "
                "name of the table."
            )


def _with_ancestors(heads: Iterable[str], parents: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    queue = list(heads)
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(parents.get(name, ()))
    return found
