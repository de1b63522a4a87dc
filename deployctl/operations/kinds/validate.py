"""Is the database what its application expects, and is it sound?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import ClassVar, cast

import psycopg

from deployctl.operations.application.project import Project
from deployctl.operations.application.project_helpers import (
    count_admins,
    count_expected,
    read_only_session,
    require_project,
)
from deployctl.operations.framework.base import Job, Json, Operation, OperationFailed, Outcome
from deployctl.operations.framework.postgres_errors import message_of
from deployctl.operations.migrations import migrator_for
from deployctl.postgres.queries import activity, constraints, indexes
from deployctl.postgres.queries.orphans import Orphans, orphans_of
from deployctl.text import pluralize

# The first of the five limits of the operator's checklist: "Connection pool > 80%".
CONNECTIONS_LIMIT = 0.8

Findings = list[str]
Examination = tuple[Mapping[str, Json], Findings]


class Validate(Operation):
    """Looks at everything before it judges, so that one run names every finding."""

    kind: ClassVar[str] = "validate"
    title: ClassVar[str] = "Validate"
    help: ClassVar[str] = (
        "Checks expected row counts, the administrator, migrations, indexes, constraints, orphaned rows and "
        "connections in use. Reads only; names every finding."
    )
    changes_target: ClassVar[bool] = False
    exclusive: ClassVar[bool] = False
    time_limit_s: ClassVar[int] = 3600

    def perform(self, job: Job) -> Outcome:
        """Run every examination, then fail if any of them found something."""
        return validate(job)


def validate(job: Job, *, may_be_older: bool = False) -> Outcome:
    """Run every examination, then fail if any of them found something.

    Args:
        may_be_older: the database may be of an earlier version than the project, as after a rollback:
            pending migrations, and rows other than `deployctl.toml` expects, are remarks and no findings.

    Raises:
        OperationFailed: naming every finding; nothing was changed.
    """
    project = require_project(job)
    facts: dict[str, Json] = {}
    findings: Findings = []
    remarks: Findings = []
    with read_only_session(job) as connection:
        of_version: dict[str, Callable[[], Examination]] = {
            "Migrations": lambda: _migrations(job, project, remarks if may_be_older else None),
            "Expected row counts": lambda: _counts(connection, project),
            "Administrator": lambda: _admin(connection, project),
        }
        if may_be_older:
            of_version |= {
                name: _remarking(of_version[name], remarks)
                for name in ("Expected row counts", "Administrator")
            }
        examinations: dict[str, Callable[[], Examination]] = of_version | {
            "Indexes": lambda: _indexes(connection),
            "Constraints": lambda: _constraints(connection),
            "Orphaned rows": lambda: _orphans(job, connection),
            "Connections in use": lambda: _connections(connection),
        }
        for name, examine in examinations.items():
            _examine(job, name, examine, facts, findings)
    for remark in remarks:
        job.log(remark, level="warning")
    if findings:
        told = pluralize(len(findings), "finding")
        raise OperationFailed(f"{told}. {' '.join(findings)} Nothing was changed.")
    if may_be_older:
        facts["remarks"] = remarks
    return Outcome(summary=_summary(facts), facts=facts)


def _remarking(examine: Callable[[], Examination], remarks: Findings) -> Callable[[], Examination]:
    """The same examination, of which what is wrong is only remarked."""

    def look() -> Examination:
        try:
            seen, wrong = examine()
        except OperationFailed as failure:
            seen, wrong = {}, [failure.message]
        remarks.extend(wrong)
        return seen, []

    return look


class _Finding(OperationFailed):
    """Marks the step as failed; the next ones still run."""


def _examine(
    job: Job, name: str, examine: Callable[[], Examination], facts: dict[str, Json], findings: Findings
) -> None:
    """One examination as one step. What it cannot look at is a finding, too: not seen is not sound."""
    try:
        with job.step(name):
            try:
                seen, wrong = examine()
            except psycopg.Error as error:
                job.raise_if_cancelled()
                raise _Finding(f"{name} could not be examined: {message_of(error)}.") from error
            facts.update(seen)
            for key, value in seen.items():
                job.log(f"{key}: {value}")
            if wrong:
                raise _Finding(" ".join(wrong))
    except OperationFailed as finding:
        job.log(finding.message, level="error")
        findings.append(finding.message)


def _migrations(job: Job, project: Project, remarks: Findings | None) -> Examination:
    """What is pending is a remark where there is a list of those."""
    status = migrator_for(project).status(job)
    facts: dict[str, Json] = {
        "migrations_applied": len(status.applied),
        "migrations_pending": list(status.pending),
        "migrations_failed": [failure.name for failure in status.failed],
        "migrations_edited": list(status.edited),
    }
    if remarks is None or not status.pending:
        return facts, status.findings
    remarks.append(f"Not applied to it: {', '.join(status.pending)}.")
    return facts, dataclasses.replace(status, pending=()).findings


def _counts(connection: psycopg.Connection, project: Project) -> Examination:
    found, wrong = count_expected(connection, project.expect.counts)
    return {"counts": found}, wrong


def _admin(connection: psycopg.Connection, project: Project) -> Examination:
    if project.expect.admin is None:
        return {"admins": None}, []
    found, wrong = count_admins(connection, project.expect.admin)
    return {"admins": found}, wrong


def _indexes(connection: psycopg.Connection) -> Examination:
    every = indexes.indexes(connection)
    invalid = [f"{index.schema}.{index.name}" for index in every if not index.is_usable]
    wrong = (
        [f"Invalid indexes: {', '.join(invalid)}. Rebuild them (REINDEX INDEX CONCURRENTLY) or drop them."]
        if invalid
        else []
    )
    return {"indexes": len(every), "invalid_indexes": invalid}, wrong


def _constraints(connection: psycopg.Connection) -> Examination:
    every = constraints.constraints(connection)
    unchecked = [f"{c.schema}.{c.table}.{c.name}" for c in every if not c.validated]
    wrong = (
        [f"Constraints never checked against older rows: {', '.join(unchecked)}. Run VALIDATE CONSTRAINT."]
        if unchecked
        else []
    )
    return {"constraints": len(every), "unvalidated_constraints": unchecked}, wrong


def _orphans(job: Job, connection: psycopg.Connection) -> Examination:
    """Every foreign key, the validated ones too: replication and disabled triggers bypass them."""
    keys = constraints.foreign_keys(connection)
    broken: list[Orphans] = []
    for done, key in enumerate(keys):
        job.raise_if_cancelled()
        job.advance(done, len(keys), unit="foreign keys", phase="Orphaned rows")
        orphans = orphans_of(connection, key)
        if orphans.count:
            broken.append(orphans)
    job.advance(len(keys), len(keys), unit="foreign keys", phase="Orphaned rows")
    facts: dict[str, Json] = {
        "foreign_keys": len(keys),
        "orphans": [
            {
                "table": f"{found.foreign_key.schema}.{found.foreign_key.table}",
                "constraint": found.foreign_key.name,
                "count": found.count,
                "sample": list(found.sample),
            }
            for found in broken
        ],
    }
    return facts, [_orphan_sentence(found) for found in broken]


def _orphan_sentence(found: Orphans) -> str:
    key = found.foreign_key
    more = " and more" if found.count > len(found.sample) else ""
    return (
        f"{key.table}.{', '.join(key.columns)}: {pluralize(found.count, 'row')} without a row of "
        f"{key.referenced_table} ({key.name}), such as {', '.join(found.sample)}{more}."
    )


def _connections(connection: psycopg.Connection) -> Examination:
    use = activity.connection_use(connection)
    facts = {"connections_used": use.used, "connections_available": use.available}
    if use.used <= CONNECTIONS_LIMIT * use.available:
        return facts, []
    return facts, [
        f"{use.used} of {pluralize(use.available, 'connection')} in use, more than {CONNECTIONS_LIMIT:.0%}."
    ]


def _summary(facts: Mapping[str, Json]) -> str:
    def many(fact: str, noun: str) -> str:
        return pluralize(cast("int", facts[fact]), noun)

    return (
        f"Sound: {many('migrations_applied', 'migration')} applied, {many('indexes', 'index')} valid, "
        f"{many('constraints', 'constraint')} checked, no orphans in {many('foreign_keys', 'foreign key')}, "
        f"{facts['connections_used']} of {many('connections_available', 'connection')} in use."
    )
